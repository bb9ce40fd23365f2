"""The read path: Redis first, PostgreSQL when Redis has nothing or is away, refilled after."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from featurehub.errors import UnknownError
from features import store
from features.models import FeatureType
from features.publishing import current_values
from features.registry import Registry, registry
from features.store import Published

logger = logging.getLogger(__name__)

UNKNOWN, NO_VALUE = "unknown", "no_value"


@dataclass(slots=True, kw_only=True)
class Values:
    """The answer to a read. `missing` gives the reason for each name that is 0.0 because it has no value."""

    customer_id: str
    versions: dict[str, str]
    features: dict[str, float]
    missing: dict[str, str]
    computed_at: datetime | None
    source: str
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every customer of a read: the registered names by feature type, and the Redis fields."""

    names: Sequence[str]
    types: Mapping[str, str]
    versions: Mapping[str, str]
    fields: Sequence[str]


def get_feature_values(
    customer_ids: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    with_metadata: bool = False,
) -> list[Values]:
    """The named (or all live) values of each customer, in the order asked: one Redis command where all are cached.

    `versions` pins types to versions (`behavioral:1.0`); raises UnknownError for one that can't be read. With
    Redis away or without a customer, PostgreSQL answers and Redis is refilled.
    """
    known = registry.get()
    check_versions(versions, known=known)
    question = ask(names if names is not None else list(known.types), known=known, with_metadata=with_metadata)
    rows = read_cached(customer_ids, question.fields)
    answers = [
        from_cache(customer_id, row=row, question=question) for customer_id, row in zip(customer_ids, rows, strict=True)
    ]
    lacking = [customer_id for customer_id, answer in zip(customer_ids, answers, strict=True) if answer is None]
    stored = read_through(lacking) if lacking else {}
    return [
        answer if answer is not None else from_database(customer_id, published=stored[customer_id], question=question)
        for customer_id, answer in zip(customer_ids, answers, strict=True)
    ]


def check_versions(versions: Sequence[str], *, known: Registry) -> None:
    """Raises UnknownError for a version that can't be read. A bare number means behavioral."""
    for text in versions:
        feature_type, separator, number = text.partition(":")
        wanted = (feature_type, number) if separator else (FeatureType.BEHAVIORAL.value, text)
        if wanted not in known.readable:
            raise UnknownError(f"There is no readable version {text}.", attr="version")


def ask(names: Sequence[str], *, known: Registry, with_metadata: bool) -> Question:
    """Names as Redis fields: first a stamp for each feature type they belong to, then the metadata, then the names."""
    types = {name: known.types[name] for name in names if name in known.types}
    versions = {name: known.live[name] for name in dict.fromkeys(types.values()) if name in known.live}
    stamps = [f"_{name}" for name in versions]
    metadata = [f"_{name}:metadata" for name in versions] if with_metadata else []
    return Question(names=names, types=types, versions=versions, fields=[*stamps, *metadata, *types])


def read_cached(customer_ids: Sequence[str], fields: Sequence[str]) -> Sequence[Sequence[bytes | None]]:
    """Redis' rows; rows of None where it is away or nothing registered was asked for."""
    nothing: Sequence[Sequence[bytes | None]] = [[None] * len(fields)] * len(customer_ids)
    if not fields:
        return nothing
    try:
        return store.read(customer_ids, fields)
    except store.AWAY as error:
        logger.warning("Redis is away, PostgreSQL answers: %s", error)
        return nothing


def read_through(customer_ids: Sequence[str]) -> dict[str, list[Published]]:
    """The customers' values from PostgreSQL, put into Redis on the way where it is there."""
    values = current_values(list(dict.fromkeys(customer_ids)))
    try:
        store.publish(values)
    except store.AWAY as error:
        logger.warning("Redis was not refilled: %s", error)
    return values


def from_cache(customer_id: str, *, row: Sequence[bytes | None], question: Question) -> Values | None:
    """The answer in a row of Redis; None where a type's stamp is not there, so that Redis can't know."""
    stamps = row[: len(question.versions)]
    if any(stamp is None for stamp in stamps):
        return None
    held = dict(zip(question.fields, row, strict=True))
    parsed = {name: store.parse_stamp(stamp) for name, stamp in zip(question.versions, stamps, strict=True) if stamp}
    metadata = {name: orjson.loads(held.get(f"_{name}:metadata") or b"{}") for name in parsed}
    values = {name: float(text) for name in question.types if (text := held[name]) is not None}
    moments = {name: as_of for name, (as_of, _) in parsed.items()}
    return answer(customer_id, values=values, moments=moments, metadata=metadata, question=question, source="cache")


def from_database(customer_id: str, *, published: Sequence[Published], question: Question) -> Values:
    """The answer in PostgreSQL's values."""
    moments = {part.feature_type: part.as_of for part in published if part.as_of is not None}
    metadata = {part.feature_type: dict(part.metadata) for part in published if part.as_of is not None}
    stored = {name: value for part in published for name, value in part.features.items()}
    values = {name: float(stored[name]) for name in question.types if name in stored}
    return answer(customer_id, values=values, moments=moments, metadata=metadata, question=question, source="database")


def answer(
    customer_id: str,
    *,
    values: Mapping[str, float],
    moments: Mapping[str, datetime],
    metadata: dict[str, dict[str, Any]],
    question: Question,
    source: str,
) -> Values:
    """Values in the order asked, zeros and reasons for the names that have none, and the oldest moment among them."""
    missing = {name: NO_VALUE if name in question.types else UNKNOWN for name in question.names if name not in values}
    given = [moments[question.types[name]] for name in values]
    return Values(
        customer_id=customer_id,
        versions=dict(question.versions),
        features={name: values.get(name, 0.0) for name in question.names},
        missing=missing,
        computed_at=min(given, default=None),
        source=source,
        metadata=metadata,
    )


def get_feature_vector(customer_id: str) -> dict[str, Any]:
    """Every live value of a customer as one CustomerFeature; `timestamp` is the oldest value's."""
    values = get_feature_values([customer_id], with_metadata=True)[0]
    return {
        "customer_id": customer_id,
        "features": values.features,
        "timestamp": values.computed_at,
        "feature_type": "vector",
        "version": values.versions.get(FeatureType.BEHAVIORAL, ""),
        "metadata": {key: value for part in values.metadata.values() for key, value in part.items()},
        "versions": values.versions,
        "missing": values.missing,
        "source": values.source,
    }
