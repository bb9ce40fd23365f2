"""The admin's first page: what is happening now, in one look. UNFOLD["DASHBOARD_CALLBACK"] names `dashboard`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from featurehub.admin.permissions import may
from featurehub.lib.humanize import ago, duration
from featurehub.lib.redis_away import REDIS_AWAY
from featurehub.lib.row_estimate import RowCount
from features.admin.runs import run_progress
from features.monitoring import overview
from features.online import store
from features.registry.weight_sets import live_set

# Where a worker is running, a mark waits for about a second.
LATE_SECONDS = 10
RUNS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number, what it means now, and the list behind it; `tone` is good, warning, danger or empty."""

    name: str
    number: str
    note: str
    url: str
    tone: str = ""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the state of the store to the index's context, for users who may see customers."""
    context = {**context, "title": "Overview"}
    if not may(request, "features.view_customer"):
        return context
    now = timezone.now()
    customers = overview.customers()
    return {
        **context,
        "is_first_use": not customers.number,
        "tiles": [
            customers_tile(customers, now=now),
            events_tile(now),
            backlog_tile(now),
            redis_tile(),
            freshness_tile(now),
            weights_tile(now),
        ],
        "runs": [
            run_progress(run, now=now) | {"kind": run.get_kind_display()}
            for run in overview.running_runs()[:RUNS_SHOWN]
        ],
    }


def customers_tile(customers: RowCount, *, now: datetime) -> Tile:
    active = overview.freshness(now=now).active
    return Tile(
        name="Customers",
        number=str(customers),
        note=f"{active} active in the last {settings.WINDOW_DAYS} days",
        url=reverse("admin:features_customer_changelist"),
    )


def events_tile(now: datetime) -> Tile:
    return Tile(
        name="Events, last 24 hours",
        number=str(overview.events_since(now - timedelta(days=1), until=now)),
        note="by event time",
        url=reverse("admin:events_event_changelist"),
    )


def backlog_tile(now: datetime) -> Tile:
    waiting = overview.backlog(now=now)
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


def freshness_tile(now: datetime) -> Tile:
    """Return the tile that says whether values are renewed before Redis drops them."""
    fresh = overview.freshness(now=now)
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
