"""Models of event types, events, dirty marks and tombstones."""

from decimal import Decimal

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import RegexValidator
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now

from events.categories import LONGEST_CATEGORY
from events.event_types import EVENT_TYPE_PATTERN, EVENT_TYPES, LONGEST_EVENT_TYPE


class NumericField(models.FloatField):  # type: ignore[type-arg]
    """A double that PostgreSQL stores as unbounded `numeric`.

    Sums of numerics are exact, whatever the order of the rows.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"

    def from_db_value(self, value: Decimal | None, expression: object, connection: object) -> float | None:
        return None if value is None else float(value)


class EventType(models.Model):
    """A registered event type: events of no other type are stored.

    Of an archived one, no new events are accepted. From `used_at` on, the moment of its first event, it can't be
    deleted; `events.registration` writes it in the transaction of that event.
    """

    name = models.CharField(
        max_length=LONGEST_EVENT_TYPE,
        unique=True,
        validators=[
            RegexValidator(
                EVENT_TYPE_PATTERN, "Use lower-case letters, digits and underscores, up to 64, a letter first."
            )
        ],
        help_text="The event_type of its events, such as trial_started. It can't be changed later.",
    )
    label = models.CharField(max_length=64, help_text="Its name for people, such as Trial started.")
    description = models.TextField(blank=True, help_text="When an event of this type is sent, and by what.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(name__regex=EVENT_TYPE_PATTERN), name="event_type_name_is_a_word")
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_there_from_the_start(self) -> bool:
        return self.name in EVENT_TYPES


class Event(models.Model):
    """An action of a customer.

    `event_type` is the name of a registered type: ingest sees to it, because a foreign key would be looked up for every
    row. `amount` and `category` are copied from `metadata` once, at ingestion.
    """

    event_id = models.CharField(max_length=64)
    customer_id = models.CharField(max_length=128)
    event_type = models.CharField(max_length=LONGEST_EVENT_TYPE)
    timestamp = models.DateTimeField()
    session_id = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - none is not an empty id
    amount = NumericField(null=True, blank=True)
    category = models.CharField(max_length=LONGEST_CATEGORY, null=True, blank=True)  # noqa: DJ001 - '' is a category
    metadata = models.JSONField(default=dict)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # An event counts once, however often it is sent.
            models.UniqueConstraint(fields=["event_id", "timestamp"], name="event_counts_once"),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="event_amount_is_not_negative"),
        ]
        indexes = [
            # The events of a customer's window: engines read `customer_id = … and timestamp between …`. The included
            # columns allow index-only scans; the table would take a page read for nearly every event.
            models.Index(
                fields=["customer_id", "timestamp"],
                include=["event_type", "session_id", "amount", "category"],
                name="event_customer_window",
            ),
            # The events of a day or an hour, for the admin. BRIN is tiny, and precise if events arrive in time order.
            BrinIndex(fields=["timestamp"], name="event_moments", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} of {self.customer_id} at {self.timestamp.isoformat()}"


class DirtyCustomer(models.Model):
    """A dirty mark: from `due_at` on, the computed features of this customer may be out of date.

    A mark is written in the transaction that causes it. It is never updated, and it is deleted after the customer's
    features were computed and published. The table is thus an outbox: no work is lost with a nudge, a worker or a
    cache.
    """

    customer_id = models.CharField(max_length=128)
    due_at = models.DateTimeField()
    # Of the request that has caused it, if that is traced: W3C's, as its client would send it.
    traceparent = models.CharField(max_length=55, blank=True, default="", db_default="")

    class Meta:
        verbose_name = "waiting customer"
        verbose_name_plural = "backlog"
        indexes = [
            # Claims: `due_at <= now order by due_at limit n for update skip locked`.
            models.Index(fields=["due_at"], name="dirty_due"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} from {self.due_at.isoformat()}"


class ErasedCustomer(models.Model):
    """A tombstone: while it exists, no events or values of this customer are accepted.

    It stores an HMAC of the customer_id, not the id.
    """

    customer_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    # Tells under which key the hash was made; null in tombstones from before it was noted.
    key_check = models.BinaryField(max_length=8, null=True, editable=False)
    erased_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.hash_prefix}… erased at {self.erased_at:%Y-%m-%d %H:%M} UTC"

    @property
    def hash_prefix(self) -> str:
        """Return the first 12 hexadecimal digits of the hash, enough to distinguish tombstones."""
        return bytes(self.customer_hash).hex()[:12]
