"""Shapes of the bodies that the fake server takes, with the checks of the real one."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from featurehub_client.sent import NewEvent, new_event_id
from featurehub_client.testing.refusals import Refused, wrong_shape

T = TypeVar("T")
LONGEST_ID = 128
METADATA_BYTES = 8 * 1024
CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
Moment = Annotated[datetime, Meta(tz=True)]
Values = Annotated[dict[str, float], Meta(min_length=1, max_length=500)]
Names = Annotated[list[str], Meta(min_length=1, max_length=500)]


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The base of bodies; other fields are refused by name."""


class EventBody(Body, kw_only=True):
    """An event."""

    customer_id: str
    event_type: str
    timestamp: Moment
    event_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    session_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    metadata: dict[str, Any] = {}

    def checked(self) -> NewEvent:
        """Return the event as it is stored. Raise Refused for one that is not acceptable."""
        check_customer_id(self.customer_id)
        check_timestamp(self.timestamp)
        check_metadata(self.metadata)
        return NewEvent(
            customer_id=self.customer_id, event_type=self.event_type, timestamp=self.timestamp,
            event_id=self.event_id or new_event_id(), session_id=self.session_id, metadata=self.metadata,
        )  # fmt: skip


class EventsBody(Body, kw_only=True):
    """Events to store."""

    events: Annotated[list[EventBody], Meta(min_length=1, max_length=10_000)]


class PatchBody(Body, kw_only=True):
    """Values of a customer."""

    feature_type: str
    version: str
    features: Values
    metadata: dict[str, Any] | None = None
    timestamp: Moment | None = None


class RowBody(Body, kw_only=True):
    """Values of a customer in a batch."""

    customer_id: str
    features: Values
    timestamp: Moment | None = None


class BatchPatchBody(Body, kw_only=True):
    """Values of many customers."""

    feature_type: str
    version: str
    rows: Annotated[list[RowBody], Meta(min_length=1, max_length=10_000)]


class NamesOrSet(Body, kw_only=True):
    """What is read."""

    names: Names | None = None
    version: str | list[str] = []
    feature_set: str | None = msgspec.field(default=None, name="set")

    @property
    def versions(self) -> list[str]:
        """The pins that `version` names."""
        return [self.version] if isinstance(self.version, str) else self.version


class BatchBody(NamesOrSet, kw_only=True):
    """The customers whose values are read."""

    customer_ids: Annotated[list[str], Meta(min_length=1, max_length=1_000)]


class EntityBody(Body, kw_only=True):
    """A customer and a moment."""

    customer_id: str
    timestamp: Moment


class AsOfBody(NamesOrSet, kw_only=True):
    """Customers and moments."""

    entities: Annotated[list[EntityBody], Meta(min_length=1, max_length=10_000)]
    known_at: Moment | None = None


class WeightBody(Body, kw_only=True):
    """Numbers of an event type."""

    weight: Annotated[float, Meta(ge=0)] | None = None
    norm: Annotated[float, Meta(gt=0)] | None = None


class ComputeBody(Body, kw_only=True):
    """Events of one customer, and numbers in place of those of the weight set."""

    events: Annotated[list[EventBody], Meta(max_length=10_000)]
    as_of: Moment | None = None
    weights: dict[str, WeightBody] = {}
    monetary_norm: Annotated[float, Meta(gt=0)] | None = None


class FeatureSetBody(Body, kw_only=True):
    """The next set of a name."""

    name: str
    names: Names
    version: str | list[str] = []
    reason: str = ""


def decoded(content: bytes, kind: type[T]) -> T:
    """Return a body as its type. Raise Refused for another shape, and for what is not JSON."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise wrong_shape(error) from None
    except msgspec.DecodeError as error:
        raise Refused(f"The body is not JSON: {error}", code="parse_error") from None


def check_customer_id(customer_id: str, *, attr: str = "customer_id") -> None:
    """Raise Refused unless the id is 1 to 128 printable characters without blanks or slashes."""
    if not (0 < len(customer_id) <= LONGEST_ID and customer_id.isprintable() and " " not in customer_id):
        raise Refused("A customer_id is 1 to 128 printable characters without blanks.", attr=attr)
    if "/" in customer_id:
        raise Refused("A customer_id must not contain a slash.", attr=attr)


def check_timestamp(timestamp: datetime | None) -> None:
    """Raise Refused for a moment before 1970 or more than 5 minutes ahead."""
    if timestamp is not None and timestamp < EARLIEST:
        raise Refused(f"The timestamp is before {EARLIEST:%Y-%m-%d}: older events are not kept.", attr="timestamp")
    if timestamp is not None and timestamp > datetime.now(UTC) + CLOCK_SKEW:
        raise Refused("The timestamp is more than 5 minutes ahead of the server.", attr="timestamp")


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raise Refused for a wrong amount or category, and for more than 8 KB."""
    amount, category = metadata.get("amount"), metadata.get("category")
    if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int | float)):
        raise Refused("The amount must be a number.", attr="metadata.amount")
    if amount is not None and amount < 0:
        raise Refused("The amount must be a finite number ≥ 0.", attr="metadata.amount")
    if category is not None and not isinstance(category, str):
        raise Refused("The category must be a string.", attr="metadata.category")
    if len(msgspec.json.encode(metadata)) > METADATA_BYTES:
        raise Refused("The metadata is larger than 8 KB.", attr="metadata")
