"""Shapes of what the API is sent. Moments have an offset from UTC."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec


class Entity(msgspec.Struct, frozen=True):
    """A customer and a moment, which has an offset from UTC."""

    customer_id: str
    timestamp: datetime


def utc_now() -> datetime:
    """Return the moment that is now."""
    return datetime.now(UTC)


def new_event_id() -> str:
    """Return an event_id that no other event has."""
    return uuid4().hex


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a customer did.

    `event_id` is made here where it is left out, so that an event that is sent again counts once. `timestamp` is now
    where it is left out. `metadata`: `amount` (a number) and `category` (a string) are understood, others are kept.
    """

    customer_id: str
    event_type: str
    timestamp: datetime = msgspec.field(default_factory=utc_now)
    event_id: str = msgspec.field(default_factory=new_event_id)
    session_id: str | None = None
    metadata: Mapping[str, Any] | None = None


class WeightChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers of an event type in place of those of the active weight set."""

    weight: float | None = None
    norm: float | None = None


class PatchedRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Values of a customer that hold from `timestamp` on: now, where it is left out."""

    customer_id: str
    features: Mapping[str, float]
    timestamp: datetime | None = None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a request that says which values are read: names with or without versions, or a feature set."""

    names: tuple[str, ...] | None = None
    versions: tuple[str, ...] = ()
    feature_set: str | None = None

    @classmethod
    def of(cls, names: Sequence[str] | None, *, versions: Sequence[str], feature_set: str | None) -> "Selection":
        """Return the selection. Raise TypeError for one text where a sequence of names is wanted."""
        if isinstance(names, str) or isinstance(versions, str):
            raise TypeError("Give names and versions as sequences of texts: ['engagement_score'].")
        return cls(names=None if names is None else tuple(names), versions=tuple(versions), feature_set=feature_set)
