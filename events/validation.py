"""Validate events: one definition for HTTP, imports and `POST features/compute/`.

The validator is compiled (msgspec): a DRF serializer costs more per event than writing it to PostgreSQL.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
import orjson

from events.categories import stored_category
from events.event_types import EVENT_TYPE_PATTERN
from events.registered_types import RegisteredTypes, check_event_types
from featurehub.lib.errors import InvalidError

METADATA_BYTES = 8 * 1024
LONGEST_ID = 128
EVENTS_PER_REQUEST = 10_000
CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# A whole number in JSON may exceed every double.
LARGEST_AMOUNT = sys.float_info.max
# PostgreSQL's text type refuses NUL, and its jsonb type lone surrogates as well.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
NUL_IN_JSON = rb"\u0000"
NO_METADATA = b"{}"
REQUIRED_FIELDS = ("customer_id", "event_type", "timestamp")

# What JSON Schema can say of a customer_id; that its other characters are printable is checked by `check_customer_id`.
ID_PATTERN = r"^[^\x00-\x20/\x7f-\xa0]+$"
CustomerId = Annotated[
    str, msgspec.Meta(extra_json_schema={"minLength": 1, "maxLength": LONGEST_ID, "pattern": ID_PATTERN})
]
# The name of a registered type; that it is one is checked by `check_event_types`.
EventTypeName = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": EVENT_TYPE_PATTERN})]
Text64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Text128 = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Metadata = Annotated[
    dict[str, Any],
    msgspec.Meta(
        extra_json_schema={
            "properties": {
                "amount": {"type": ["number", "null"], "minimum": 0, "maximum": LARGEST_AMOUNT},
                "category": {"type": ["string", "null"]},
            }
        }
    ),
]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class EventFields(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The fields of an event without its metadata.

    gc=False: an event can't be part of a reference cycle, so the garbage collector need not track it.
    """

    customer_id: Annotated[Text128, msgspec.Meta(extra_json_schema={"pattern": ID_PATTERN})]
    event_type: EventTypeName
    timestamp: Moment
    event_id: Text64 | None = None
    session_id: Text128 | None = None


class NewEvent(EventFields, kw_only=True, gc=False):
    """An event with its metadata as an object: of a file, or to be computed with."""

    metadata: Metadata = {}

    @property
    def amount(self) -> float | None:
        return amount_in(self.metadata)

    @property
    def category(self) -> str | None:
        return category_in(self.metadata)

    @property
    def metadata_json(self) -> str:
        return encode_metadata(self.metadata).decode()


AnyItem = TypeVar("AnyItem")


def keys_of_fields(events: Sequence[EventFields]) -> int:
    """Return the number of keys in these events' objects, without `metadata` and those whose value is null."""
    without_id = [event.event_id for event in events].count(None)
    without_session = [event.session_id for event in events].count(None)
    return (len(REQUIRED_FIELDS) + 2) * len(events) - without_id - without_session


def check_all(events: Sequence[NewEvent], *, now: datetime, oldest: datetime = EARLIEST) -> None:
    """Raise InvalidError with `attr` `events.N.…` at the first event that is not acceptable."""
    try:
        check_together(events, now=now, oldest=oldest)
    except InvalidError:
        check_each(events, partial(check_event, now=now, oldest=oldest))


def check_together(
    events: Sequence[NewEvent], *, now: datetime, oldest: datetime = EARLIEST, types: RegisteredTypes | None = None
) -> None:
    """Check all events at once, in a third of the time of `check_event` for each.

    Raise InvalidError if one of them is not acceptable. Call `check_each` to find out which. `types` are the registered
    types; None: those in memory.
    """
    check_fields_together(events, now=now, oldest=oldest, types=types)
    for event in events:
        check_metadata(event.metadata)


def check_fields_together(
    events: Sequence[EventFields], *, now: datetime, oldest: datetime, types: RegisteredTypes | None = None
) -> None:
    """Raise InvalidError if a value of one of the events, other than its metadata, is not acceptable."""
    if not events:
        return
    check_customer_ids([event.customer_id for event in events], attr="customer_id")
    check_text("".join([event.event_id for event in events if event.event_id]), attr="event_id")
    check_text("".join([event.session_id for event in events if event.session_id]), attr="session_id")
    check_event_types({event.event_type for event in events}, known=types)
    moments = [event.timestamp for event in events]
    check_timestamp(min(moments), now=now, oldest=oldest)
    check_timestamp(max(moments), now=now, oldest=oldest)


def check_each(events: Iterable[AnyItem], check: Callable[[AnyItem], object]) -> None:
    """Raise InvalidError with `attr` `events.N.…` at the first event for which `check` raises one."""
    for position, event in enumerate(events):
        try:
            check(event)
        except InvalidError as error:
            error.attr = f"events.{position}.{error.attr}"
            raise


def check_event(
    event: NewEvent, *, now: datetime, oldest: datetime = EARLIEST, types: RegisteredTypes | None = None
) -> None:
    """Raise InvalidError with `attr` if a value of the event is not acceptable; the types are right already.

    `oldest` is the oldest accepted timestamp: `partitions.oldest_kept` for events that are to be stored. `types` are as
    for `check_together`.
    """
    check_fields(event, now=now, oldest=oldest, types=types)
    check_metadata(event.metadata)


def check_fields(event: EventFields, *, now: datetime, oldest: datetime, types: RegisteredTypes | None = None) -> None:
    """Raise InvalidError with `attr` if a value of the event, other than its metadata, is not acceptable."""
    check_customer_id(event.customer_id)
    check_event_types((event.event_type,), known=types)
    check_text(event.event_id, attr="event_id")
    check_text(event.session_id, attr="session_id")
    check_timestamp(event.timestamp, now=now, oldest=oldest)


def check_timestamp(timestamp: datetime, *, now: datetime, oldest: datetime = EARLIEST) -> None:
    """Raise InvalidError for a timestamp before `oldest` or more than CLOCK_SKEW after `now`."""
    if timestamp < oldest:
        raise InvalidError(f"The timestamp is before {oldest:%Y-%m-%d}: older events are not kept.", attr="timestamp")
    if timestamp > now + CLOCK_SKEW:
        raise InvalidError("The timestamp is more than 5 minutes ahead of the server.", attr="timestamp")


def check_text(text: str | None, *, attr: str) -> None:
    """Raise InvalidError for a text that PostgreSQL can't store.

    Printable texts can be stored, and `isprintable` is fast.
    """
    if text is not None and not text.isprintable() and UNSTORABLE.search(text):
        raise InvalidError("The text contains a character that can't be stored.", attr=attr)


def check_customer_id(customer_id: str, *, attr: str = "customer_id") -> None:
    """Raise InvalidError with `attr` unless the id is 1 to 128 printable characters without blanks or slashes."""
    if not (0 < len(customer_id) <= LONGEST_ID and customer_id.isprintable() and " " not in customer_id):
        raise InvalidError("A customer_id is 1 to 128 printable characters without blanks.", attr=attr)
    if "/" in customer_id:
        raise InvalidError("A customer_id must not contain a slash.", attr=attr)


def check_customer_ids(customer_ids: Sequence[str], *, attr: str) -> None:
    """Raise InvalidError with `attr` `ATTR.N` at the first id that is not valid.

    The ids are checked as one text first, and singly only if that fails.
    """
    together, lengths = "".join(customer_ids), set(map(len, customer_ids))
    is_right = together.isprintable() and " " not in together and "/" not in together
    if not is_right or 0 in lengths or max(lengths, default=0) > LONGEST_ID:
        for position, customer_id in enumerate(customer_ids):
            check_customer_id(customer_id, attr=f"{attr}.{position}")


def amount_in(metadata: dict[str, Any]) -> float | None:
    """Return the amount in checked metadata."""
    amount = metadata.get("amount")
    return None if amount is None else float(amount)


def category_in(metadata: dict[str, Any]) -> str | None:
    """Return the category in checked metadata, as it is stored."""
    category: str | None = metadata.get("category")
    return None if category is None else stored_category(category)


def check_metadata(metadata: dict[str, Any]) -> bytes:
    """Return the metadata as JSON. Raise InvalidError unless it is at most 8 KB that PostgreSQL can store.

    `amount` must be a finite number ≥ 0 and `category` a string, if present.
    """
    if not metadata:
        return NO_METADATA
    amount, category = metadata.get("amount"), metadata.get("category")
    if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int | float)):
        raise InvalidError("The amount must be a number.", attr="metadata.amount")
    if amount is not None and not 0 <= amount <= LARGEST_AMOUNT:
        raise InvalidError("The amount must be a finite number ≥ 0.", attr="metadata.amount")
    if category is not None and not isinstance(category, str):
        raise InvalidError("The category must be a string.", attr="metadata.category")
    encoded = encode_metadata(metadata)
    if len(encoded) > METADATA_BYTES:
        raise InvalidError("The metadata is larger than 8 KB.", attr="metadata")
    # A lone surrogate has no JSON form: orjson refused it. A NUL has one, which PostgreSQL refuses. The search for its
    # escape is fast, but finds a few other texts, too: only then is every string examined.
    if NUL_IN_JSON in encoded and any("\x00" in text for text in strings_in(metadata)):
        raise InvalidError("The text contains a character that can't be stored.", attr="metadata")
    return encoded


def encode_metadata(metadata: object) -> bytes:
    """Return the metadata as the JSON that is stored.

    Raise InvalidError for values without a JSON form that every reader accepts. orjson refuses those: whole numbers
    beyond 64 bits, and more than 254 levels of nesting.
    """
    try:
        return orjson.dumps(metadata)
    except TypeError as error:
        raise InvalidError(f"The metadata is not JSON that can be stored: {error}.", attr="metadata") from None


def strings_in(value: object) -> Iterable[str]:
    """Yield every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from strings_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings_in(part)
