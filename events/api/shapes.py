"""Shapes of the events endpoint for the OpenAPI schema; `events.posted` decodes and checks what is sent."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from events.tombstones import ERASED_CODE
from events.validation import EVENTS_PER_REQUEST, NewEvent


class EventsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Events to store, all of them or none."""

    # As `events.posted.EventBatch`, which decodes the metadata of each event later.
    events: Annotated[list[NewEvent], Meta(min_length=1, max_length=EVENTS_PER_REQUEST)]


class RefusedEvent(msgspec.Struct, kw_only=True):
    """An event that was not stored, and did not hold up the others."""

    index: Annotated[int, Meta(ge=0, description="The place of the event in the request, from 0.")]
    reason: Annotated[str, Meta(description="Its customer was erased.", extra_json_schema={"enum": [ERASED_CODE]})]


class StoredEvents(msgspec.Struct, kw_only=True):
    """The numbers of events that were stored."""

    accepted: Annotated[int, Meta(ge=0, description="Events that are stored now.")]
    duplicates: Annotated[int, Meta(ge=0, description="Events that were stored before.")]
    refused: list[RefusedEvent] | UnsetType = UNSET
