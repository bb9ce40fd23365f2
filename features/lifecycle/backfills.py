"""The range of the past that a version may be backfilled over: which days, and what they cost."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings

from featurehub.lib.errors import InvalidError
from featurehub.lib.row_estimate import RowCount, estimate_rows
from features.materialization.computed_ranges import first_computed
from features.materialization.locks import database_now
from features.models import Customer, CustomerFeature, FeatureVersion

PAST_DAYS = 90
# The form field that errors about the first day name.
SINCE = "backfill_since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A proposed past: its first day, None where there is none to propose, and its cost."""

    since: date | None
    days: int
    customers: RowCount

    @property
    def computations(self) -> int:
        return self.days * self.customers.number


def propose_backfill(version: FeatureVersion) -> Backfill:
    """Return the past from the live version's first row on, at most PAST_DAYS, up to the version's first values."""
    end = first_computed(version) or database_now()
    first = first_row_of_live(version.feature_type)
    customers = estimate_rows(Customer.objects.all())
    if first is None or first >= end:
        return Backfill(since=None, days=0, customers=customers)
    since = max(first.astimezone(UTC).date(), earliest_day(version, now=end))
    return Backfill(since=since, days=(end.date() - since).days + 1, customers=customers)


def first_row_of_live(feature_type: str) -> datetime | None:
    """Return the moment from which the live version has values; None where it has none.

    Of a version that was live from the start, that of the row that was recorded first: ids are in that order.
    """
    live = FeatureVersion.objects.get(feature_type=feature_type, state=FeatureVersion.State.LIVE)
    computed_since = first_computed(live)
    if computed_since is not None:
        return computed_since
    rows = CustomerFeature.objects.filter(feature_type=feature_type, version=live.number).order_by("pk")
    return rows.values_list("timestamp", flat=True).first()


def backfill_moment(version: FeatureVersion, *, since: date, now: datetime) -> datetime:
    """Return the first moment of a day that a past up to `now` begins on.

    Raises InvalidError for a day that is not before `now`, that lies more than PAST_DAYS before it, or of whose windows
    the events are not kept.
    """
    moment = datetime.combine(since, time.min, tzinfo=UTC)
    if moment >= now:
        raise InvalidError(f"{version} has values from {now:%Y-%m-%d %H:%M} UTC on: choose an earlier day.", attr=SINCE)
    earliest = earliest_day(version, now=now)
    if since < earliest:
        raise InvalidError(
            f"The earliest day is {earliest}: at most {PAST_DAYS} days are backfilled at once, and events older than "
            "their retention are not there.", attr=SINCE,
        )  # fmt: skip
    return moment


def earliest_day(version: FeatureVersion, *, now: datetime) -> date:
    """Return the first day that the past of a version up to `now` may begin on."""
    earliest = now - timedelta(days=PAST_DAYS)
    if settings.EVENT_RETENTION_DAYS:
        windows = [timedelta(hours=row.window_hours or 0) for row in version.definitions.all()]
        kept = timedelta(days=settings.EVENT_RETENTION_DAYS)
        earliest = max(earliest, database_now() - kept + max(timedelta(days=settings.WINDOW_DAYS), *windows))
    return earliest.date() + timedelta(days=1)
