"""The state of the whole store for the dashboard and for Prometheus, at a cost that does not grow with it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from events.models import DirtyCustomer
from featurehub.lib.row_estimate import RowCount, estimate_rows
from featurehub.lib.snapshot import Snapshot
from features.materialization.renewal import seconds_since_renewal
from features.models import BUCKET, Customer, FeatureVersion, Renewal, Run

RENEWAL_AGE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The marks that are due.

    `oldest_seconds` is the time for which the oldest has been due, 0 where none is.
    """

    due: RowCount
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The active customers, and those of them that are behind.

    `active` customers have events in the window. Those that are `behind` were last renewed more than a TTL ago, so that
    Redis has lost them. `oldest` is the oldest renewal that an active customer depends on, None where none is active.
    """

    active: RowCount
    behind: RowCount
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """The numbers of one look at the store, which several parts of a page show."""

    now: datetime
    customers: RowCount
    backlog: Backlog
    freshness: Freshness


def look(*, now: datetime) -> StoreState:
    """Return the state of the store now."""
    return StoreState(now=now, customers=customers(), backlog=backlog(now=now), freshness=freshness(now=now))


def backlog(*, now: datetime) -> Backlog:
    """Return the backlog: accepted events that are not readable as features yet."""
    due = DirtyCustomer.objects.filter(due_at__lte=now)
    oldest = due.order_by("due_at").values_list("due_at", flat=True).first()
    return Backlog(due=estimate_rows(due), oldest_seconds=(now - oldest).total_seconds() if oldest else 0.0)


# Cached, because every page of the admin shows it, and none of them should need a query for it.
renewal_age = Snapshot(lambda: seconds_since_renewal(now=timezone.now()), seconds=RENEWAL_AGE_SECONDS)


def seconds_behind() -> float | None:
    """Return the age of the oldest renewal where it exceeds the TTL; None where the refresh keeps up.

    Beyond the TTL, Redis has lost customers that it should hold. The result is at most RENEWAL_AGE_SECONDS old.
    """
    seconds = renewal_age.get()
    return seconds if seconds > settings.FEATURE_TTL else None


def freshness(*, now: datetime) -> Freshness:
    """Return the active customers, those that are behind, and the oldest renewal."""
    active = with_events_in_the_window()
    seconds = seconds_since_renewal(now=now)
    oldest = now - timedelta(seconds=seconds) if seconds else None
    return Freshness(active=estimate_rows(active), behind=estimate_rows(behind(active, now=now)), oldest=oldest)


def with_events_in_the_window() -> QuerySet[Customer]:
    """Return the customers with events in the window."""
    return Customer.objects.filter(recompute_at__isnull=False)


def behind(active: QuerySet[Customer], *, now: datetime) -> QuerySet[Customer]:
    """Return the active customers that were neither computed nor renewed within a TTL."""
    lost_since = now - timedelta(seconds=settings.FEATURE_TTL)
    held_since = Renewal.objects.annotate(held_since=Coalesce(F("renewed_at"), F("due_at")))
    buckets = list(held_since.filter(held_since__lt=lost_since).values_list("bucket", flat=True))
    lost = active.alias(bucket=BUCKET).filter(computed_at__lt=lost_since)
    return lost.filter(Q(bucket__in=buckets) | Q(recompute_at__lt=lost_since))


def versions_put_aside() -> QuerySet[FeatureVersion]:
    """Return the versions that are not computed any more, because their computation failed."""
    return FeatureVersion.objects.filter(put_aside_at__isnull=False).exclude(state=FeatureVersion.State.RETIRED)


def customers() -> RowCount:
    return estimate_rows(Customer.objects.all())


def running_runs() -> QuerySet[Run]:
    return Run.objects.filter(state=Run.State.RUNNING)


def last_runs() -> QuerySet[Run]:
    """Return the newest run of each kind."""
    return Run.objects.order_by("kind", "-id").distinct("kind")
