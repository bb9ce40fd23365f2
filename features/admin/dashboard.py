"""The tiles of the Overview: what is happening now, in one look."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse

from featurehub.lib.humanize import ago, duration
from featurehub.lib.redis_away import REDIS_AWAY
from features.monitoring.event_counts import events_by_type
from features.monitoring.overview import Backlog, Freshness, StoreState
from features.monitoring.series import Resolution
from features.online import store
from features.registry.weight_sets import live_set

# Where a worker is running, a mark waits for about a second.
LATE_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number, what it means now, and the list behind it; `tone` is good, warning, danger or empty."""

    name: str
    number: str
    note: str
    url: str
    tone: str = ""


def tiles(state: StoreState) -> list[Tile]:
    """Return the tiles, in the order of the page."""
    return [
        customers_tile(state),
        events_tile(state.now),
        backlog_tile(state.backlog),
        redis_tile(),
        freshness_tile(state.freshness, now=state.now),
        weights_tile(state.now),
    ]


def customers_tile(state: StoreState) -> Tile:
    return Tile(
        name="Customers",
        number=str(state.customers),
        note=f"{state.freshness.active} active in the last {settings.WINDOW_DAYS} days",
        url=reverse("admin:features_customer_changelist"),
    )


def events_tile(now: datetime) -> Tile:
    return Tile(
        name="Events, last 24 hours",
        number=f"{events_of_a_day(now):,}",
        note="by event time",
        url=reverse("admin:events_event_changelist"),
    )


def events_of_a_day(now: datetime) -> int:
    """Return how many events have happened in the last 24 hours, counted by whole minutes."""
    by_type = events_by_type(resolution=Resolution.MINUTE, since=now - timedelta(days=1), now=now)
    return sum(sum(minutes.values()) for minutes in by_type.values())


def backlog_tile(waiting: Backlog) -> Tile:
    is_late = waiting.oldest_seconds > LATE_SECONDS
    if not waiting.due.number:
        note = "all events are processed"
    elif is_late:
        note = f"the oldest for {duration(waiting.oldest_seconds)}: check that a worker is running"
    else:
        note = f"the oldest for {duration(waiting.oldest_seconds)}"
    return Tile(
        name="Backlog",
        number=str(waiting.due),
        note=note,
        url=reverse("admin:events_dirtycustomer_changelist"),
        tone="warning" if is_late else "good",
    )


def redis_tile() -> Tile:
    address = reverse("admin:features_customer_changelist")
    try:
        held = store.occupancy()
    except REDIS_AWAY:
        return Tile(
            name="Redis",
            number="not reachable",
            note="reads come from PostgreSQL, more slowly",
            url=address,
            tone="danger",
        )
    megabytes = held.bytes_used / 1_048_576
    return Tile(
        name="Redis", number="reachable", note=f"{held.keys:,} keys, {megabytes:,.1f} MB", url=address, tone="good"
    )


def freshness_tile(fresh: Freshness, *, now: datetime) -> Tile:
    """Return the tile that says whether values are renewed before Redis drops them."""
    ttl = duration(settings.FEATURE_TTL)
    if fresh.oldest is None:
        number, note, tone = "–", "no active customers", ""
    elif fresh.behind.number:
        number, tone = f"{fresh.behind} behind", "warning"
        note = f"not refreshed for {ttl}, so the cache has dropped them"
    else:
        number = ago(fresh.oldest, now)
        tone = "good" if (now - fresh.oldest).total_seconds() <= settings.FEATURE_TTL else "warning"
        note = f"oldest value among active customers; the cache keeps values for {ttl}"
    return Tile(
        name="Freshness",
        number=number,
        note=note,
        url=f"{reverse('admin:features_customer_changelist')}?activity={'behind' if fresh.behind.number else 'active'}",
        tone=tone,
    )


def weights_tile(now: datetime) -> Tile:
    active = live_set()
    if active is None or active.activated_at is None:
        return Tile(
            name="Active weights",
            number="none",
            note="no customer can be scored",
            url=reverse("admin:features_weightset_changelist"),
            tone="danger",
        )
    return Tile(
        name="Active weights",
        number=str(active),
        note=f"for {duration((now - active.activated_at).total_seconds())}",
        url=reverse("admin:features_weightset_change", args=[active.pk]),
    )
