"""Loading of the demo data: ingest it, compute a few weeks of history, then compute and publish today's values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from events.event_types import EVENT_TYPES, PURCHASE
from events.ingest import ingest
from events.models import DirtyCustomer, Event
from events.partitions import oldest_kept
from events.validation import NewEvent
from featurehub.lib.batched import batched
from featurehub.lib.progress import Progress
from features.demo.behaviour import EVENT_ID_PREFIX, events_of
from features.demo.purchases import purchases_by_customer
from features.materialization import recompute, refresh
from features.models import CustomerFeature, FeatureType
from features.offline import history
from features.offline.history import Latest
from features.registry.snapshot import registry_snapshot

WEEKS_OF_HISTORY = 8
EVENTS_PER_BATCH = 10_000
EXAMPLE_BELOW = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A summary of the stored demo data.

    Active customers have an event in the window; the example is a customer with a high score.
    """

    customers: int
    events: int
    purchases: int
    active_customers: int
    example_id: str
    example_score: float


def generate(*, now: datetime, progress: Progress = lambda done: None) -> list[NewEvent]:
    """Return all demo events that are within the retention, counted back from `now`.

    `progress` is called with the number of customers since its last call.
    """
    events: list[NewEvent] = []
    oldest = oldest_kept(now)
    for purchases in purchases_by_customer().values():
        events.extend(event for event in events_of(purchases, now=now) if event.timestamp >= oldest)
        progress(1)
    return events


def store_demo_events(events: Sequence[NewEvent], *, progress: Progress = lambda done: None) -> None:
    """Ingest the demo events in one transaction, so that either all are stored or none."""
    with transaction.atomic():
        for start in range(0, len(events), EVENTS_PER_BATCH):
            batch = events[start : start + EVENTS_PER_BATCH]
            ingest(batch)
            progress(len(batch))


@dataclass(frozen=True, slots=True)
class Part:
    """Customers and the moment for which they are computed in one transaction."""

    as_of: datetime
    customer_ids: Sequence[str]


def history_left() -> list[Part]:
    """Return the parts of the last weeks' history that are still to be computed, the oldest week first.

    A part is computed in one transaction, so it is complete where any row of its moment exists.
    """
    end = end_of_history()
    if end is None:
        return []
    customers = list(batched(recent_customer_ids(until=end), refresh.CUSTOMERS_PER_CHUNK))
    weeks = [end - timedelta(weeks=number) for number in range(WEEKS_OF_HISTORY, 0, -1)]
    parts = [Part(as_of=week, customer_ids=ids) for week in weeks for ids in customers]
    return [part for part in parts if not is_computed(part)]


def is_computed(part: Part) -> bool:
    rows = CustomerFeature.objects.filter(feature_type=FeatureType.BEHAVIORAL, timestamp=part.as_of)
    return rows.filter(customer_id__in=part.customer_ids).exists()


def compute_history(parts: Sequence[Part], *, progress: Progress = lambda done: None) -> None:
    """Compute the parts that `history_left` returned.

    `progress` is called with the number of customers of each part.
    """
    for part in parts:
        recompute.recompute_customers(customer_ids=part.customer_ids, as_of=part.as_of, progress=progress)


def due_marks() -> int:
    return DirtyCustomer.objects.filter(due_at__lte=Now()).count()


def compute_now(*, progress: Progress = lambda done: None) -> None:
    """Compute and publish the customers with marks, as a worker does, and settle the marks.

    Ingestion wrote a mark for each customer.
    """
    while settled := refresh.refresh_dirty():
        progress(settled)


def is_loaded() -> bool:
    return demo_events().exists()


def demo_events() -> QuerySet[Event]:
    return Event.objects.filter(event_id__startswith=EVENT_ID_PREFIX)


def customer_ids() -> list[str]:
    """Return the customers of the stored demo events, without those that were erased."""
    return list(demo_events().values_list("customer_id", flat=True).distinct().order_by("customer_id"))


def end_of_history() -> datetime | None:
    """Return the start of the last day of the log, None where nothing is stored.

    Weeks are counted back from it. It is the same in every call, so that an interrupted load can continue.
    """
    last: datetime | None = demo_events().aggregate(last=Max("timestamp"))["last"]
    return None if last is None else last.replace(hour=0, minute=0, second=0, microsecond=0)


def recent_customer_ids(*, until: datetime) -> list[str]:
    """Return the demo customers whose values differed from zero in one of the weeks before `until`."""
    since = until - timedelta(weeks=WEEKS_OF_HISTORY, days=settings.WINDOW_DAYS)
    recent = demo_events().filter(timestamp__gte=since)
    return list(recent.values_list("customer_id", flat=True).distinct().order_by("customer_id"))


def summarise() -> Loaded | None:
    """Return a summary of the demo data; None where nothing is stored, or nothing is computed yet."""
    ids = customer_ids()
    version = registry_snapshot.get().live[FeatureType.BEHAVIORAL]
    rows = history.latest(ids, versions=[(FeatureType.BEHAVIORAL, version)])
    if not rows:
        return None
    example = max(rows, key=example_rank)
    return Loaded(
        customers=len(ids),
        events=demo_events().count(),
        purchases=demo_events().filter(event_type=PURCHASE).count(),
        active_customers=sum(1 for row in rows if any(row.metadata["activity"][name] for name in EVENT_TYPES)),
        example_id=example.customer_id,
        example_score=example.features["engagement_score"],
    )


def example_rank(row: Latest) -> tuple[bool, float]:
    """Return the sort key of an example: a customer with a purchase and a high score that is not clamped."""
    score = row.features["engagement_score"]
    return row.features["purchases_30d"] > 0 and score < EXAMPLE_BELOW, score
