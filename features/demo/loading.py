"""From the log to a running feature store: ingest, a few weeks of history, and everything computed and published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from events.event_types import EVENT_TYPES, PURCHASE
from events.ingest import Ingested, ingest
from events.models import Event
from events.validation import NewEvent
from features import history, refresh
from features.demo.behaviour import EVENT_ID_PREFIX, events_of
from features.demo.purchases import purchases_by_customer
from features.models import FeatureType
from features.registry import registry

WEEKS_OF_HISTORY = 8
# The example's score is not clamped: that is easier to follow.
EXAMPLE_BELOW = 0.95
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is there of the demo data. Active customers have an event in the window; the example is a busy one."""

    customers: int
    events: int
    purchases: int
    active_customers: int
    example_id: str
    example_score: float


def generate(*, now: datetime, progress: Progress = lambda done: None) -> list[NewEvent]:
    """All demo events, counted back from `now`. `progress` is told of each customer."""
    events: list[NewEvent] = []
    for purchases in purchases_by_customer().values():
        events.extend(events_of(purchases, now=now))
        progress(1)
    return events


def store(events: Sequence[NewEvent]) -> Ingested:
    """Ingests the demo events in one transaction: they are there all at once or not at all."""
    return ingest(events)


def compute_history(*, now: datetime, progress: Progress = lambda done: None) -> None:
    """Computes the recent customers as of the last weeks, the oldest first. `progress` is told of customers × weeks."""
    ids = recent_customer_ids(now=now)
    for weeks in range(WEEKS_OF_HISTORY, 0, -1):
        refresh.recompute(customer_ids=ids, as_of=now - timedelta(weeks=weeks), progress=progress)


def compute_now(*, progress: Progress = lambda done: None) -> None:
    """Computes and publishes what has a mark, as a worker does: the marks that ingestion left are settled by it."""
    while settled := refresh.refresh_dirty():
        progress(settled)


def is_loaded() -> bool:
    return demo_events().exists()


def demo_events() -> QuerySet[Event]:
    return Event.objects.filter(event_id__startswith=EVENT_ID_PREFIX)


def customer_ids() -> list[str]:
    """The customers of the stored demo events: one that was erased is not among them."""
    return list(demo_events().values_list("customer_id", flat=True).distinct().order_by("customer_id"))


def recent_customer_ids(*, now: datetime) -> list[str]:
    """Those of them whose values differed from zero in one of the weeks that `compute_history` looks back on."""
    since = now - timedelta(weeks=WEEKS_OF_HISTORY, days=settings.WINDOW_DAYS)
    recent = demo_events().filter(timestamp__gte=since)
    return list(recent.values_list("customer_id", flat=True).distinct().order_by("customer_id"))


def summarise() -> Loaded | None:
    """What is there of the demo data; None where nothing is, or nothing of it is computed yet."""
    ids = customer_ids()
    version = registry.get().live[FeatureType.BEHAVIORAL]
    rows = history.latest(ids, versions={FeatureType.BEHAVIORAL: version})
    if not rows:
        return None
    scores = {row.customer_id: row.features["engagement_score"] for row in rows}
    example_id = max(scores, key=lambda customer_id: (scores[customer_id] < EXAMPLE_BELOW, scores[customer_id]))
    return Loaded(
        customers=len(ids),
        events=demo_events().count(),
        purchases=demo_events().filter(event_type=PURCHASE).count(),
        active_customers=sum(1 for row in rows if any(row.metadata["activity"][name] for name in EVENT_TYPES)),
        example_id=example_id,
        example_score=scores[example_id],
    )
