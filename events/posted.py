"""Events as clients post them: the metadata of each stays JSON text, and is decoded for its check only.

Decoded, JSON takes up to 30 times the memory of its text, and all events of a request are in memory at once: 16 MB of
metadata took 440 MB.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec

from events.validation import (
    EVENTS_PER_REQUEST,
    NO_METADATA,
    REQUIRED_FIELDS,
    EventFields,
    amount_in,
    category_in,
    check_each,
    check_fields,
    check_fields_together,
    check_metadata,
    keys_of_fields,
)
from featurehub.lib.batched import batched
from featurehub.lib.errors import InvalidError, json_problem
from featurehub.lib.same_keys import fewest_keys, given_twice, most_keys, refuse_same_keys
from featurehub.lib.wrong_shapes import wrong_shape

# Of metadata as it was sent. A text within the 8 KB is longer if it has blanks, or escapes: "\u0061" is one byte, "a".
LONGEST_METADATA_TEXT = 64 * 1024

# The metadata of an event that was posted without any.
ABSENT = msgspec.Raw(NO_METADATA)

metadata_decoder = msgspec.json.Decoder(dict[str, Any])


class PostedEvent(EventFields, kw_only=True, gc=False):
    """An event as a client posts it. Its metadata is JSON text that was not looked at yet."""

    metadata: msgspec.Raw = ABSENT


class EventBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST events/`."""

    events: Annotated[list[PostedEvent], msgspec.Meta(min_length=1, max_length=EVENTS_PER_REQUEST)]


class OptionalFields(msgspec.Struct, gc=False):
    """The optional fields of an event that are there."""

    event_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    session_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class OptionalFieldsOfEvents(msgspec.Struct):
    """The body of `POST events/`, likewise."""

    events: list[OptionalFields]


class CheckedEvent(EventFields, kw_only=True, gc=False):
    """An event that can be stored, with its metadata as the JSON that is stored."""

    amount: float | None
    category: str | None
    metadata_json: str


presence_decoder = msgspec.json.Decoder(OptionalFieldsOfEvents)


def checked_events(events: Sequence[PostedEvent], *, now: datetime, oldest: datetime) -> list[CheckedEvent]:
    """Return the events as they are stored. Raise InvalidError with `attr` `events.N.…` at the first wrong one."""
    try:
        check_fields_together(events, now=now, oldest=oldest)
        return [with_checked_metadata(event) for event in events]
    except InvalidError:
        check_each(events, partial(check_posted, now=now, oldest=oldest))
        raise


def check_posted(event: PostedEvent, *, now: datetime, oldest: datetime) -> CheckedEvent:
    """Return the event as it is stored. Raise InvalidError with `attr` if a value of it is not acceptable."""
    check_fields(event, now=now, oldest=oldest)
    return with_checked_metadata(event)


def with_checked_metadata(event: PostedEvent) -> CheckedEvent:
    """Return the event as it is stored. Raise InvalidError if its metadata is not acceptable."""
    metadata = decode_metadata(event.metadata)
    return CheckedEvent(
        customer_id=event.customer_id,
        event_type=event.event_type,
        timestamp=event.timestamp,
        event_id=event.event_id,
        session_id=event.session_id,
        # As a text: orjson's bytes hold the memory that they might have needed, up to 60 times their length.
        metadata_json=check_metadata(metadata).decode(),
        amount=amount_in(metadata),
        category=category_in(metadata),
    )


def refuse_same_keys_in(body: bytes, *, posted: Sequence[PostedEvent], checked: Sequence[CheckedEvent]) -> None:
    """Raise InvalidError with `attr` where the body, or an object in it, has the same key twice.

    `posted` and `checked` are the events that were decoded from it.
    """
    # 1. With what was decoded, where no field is null.
    in_metadata = sum(
        fewest_keys("".join([event.metadata_json for event in part]).encode()) for part in batched(checked, 1_000)
    )
    with_metadata = len(posted) - [event.metadata for event in posted].count(ABSENT)
    most = most_keys(body)
    if most <= 1 + keys_of_fields(posted) + with_metadata + in_metadata:
        return
    # 2. With the fields that are there, null or not.
    if most <= 1 + sum(map(keys_present, presence_decoder.decode(body).events)) + in_metadata:
        return
    # 3. With each of them, one event after the other: all at once would take many times the memory of the body.
    text = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["events"]
    if most_keys(body.replace(text, b"", 1)) > 1:
        raise given_twice("events")
    check_each(msgspec.json.decode(text, type=list[msgspec.Raw]), lambda event: refuse_same_keys(bytes(event)))


def keys_present(event: OptionalFields) -> int:
    """Return the number of keys in an event's object."""
    optional = (event.event_id, event.session_id, event.metadata)
    return len(REQUIRED_FIELDS) + len(optional) - optional.count(msgspec.UNSET)


def decode_metadata(text: msgspec.Raw) -> dict[str, Any]:
    """Return the object of the text. Raise InvalidError if it is none, or longer than LONGEST_METADATA_TEXT."""
    if len(text) > LONGEST_METADATA_TEXT:
        raise InvalidError("The metadata is larger than 8 KB.", attr="metadata")
    try:
        return metadata_decoder.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidError(wrong_shape(error, wanted=dict[str, Any]).detail, attr="metadata") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"The metadata is not JSON: {json_problem(error)}.", attr="metadata") from None
