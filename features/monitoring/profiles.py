"""Daily profiles: the distribution of every live feature over a random sample of customers.

A day's profile holds the values at its end, read from the history. So it can be made at any later time, and is the same
apart from the sample: days that nobody profiled, because nothing ran or something failed, are made up for.

1. `profile_next` takes the day that is under way, or begins the newest one that is missing.
2. Each call reads the values of the next CUSTOMERS_PER_PART customers of the sample, and keeps them as columns.
3. The last call of a day turns the columns into a distribution a feature, and deletes them.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from featurehub.lib.clock import microseconds
from features.formulas.activity import Floats
from features.formulas.distributions import Distribution
from features.formulas.view import FeatureView
from features.models import BaselineWeek, Customer, EventHour, FeatureProfile, FeatureType, ProfiledDay
from features.monitoring.expected import values_at
from features.monitoring.material import StoredRows, rows_of
from features.monitoring.random_customers import draw_customers
from features.offline import history
from features.offline.as_of import written_lifetime
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot

CUSTOMERS_PER_PART = 1_000
# Days before yesterday that are made up for.
DAYS_MADE_UP = 14
# A week and a day more than a year, so that a day of last year still has the week before it.
DAYS_KEPT = 373
DAYS_OF_A_WEEK = 7


# --- The days ---------------------------------------------------------------------------------------------------------


def profile_next(*, now: datetime) -> int:
    """Profile the next customers of the next day. Return 1, or 0 where no day is left or another worker has it."""
    day = day_under_way(now=now)
    if day is None:
        return 0
    with transaction.atomic():
        claimed = ProfiledDay.objects.select_for_update(skip_locked=True)
        row = claimed.filter(pk=day.pk, state=ProfiledDay.State.RUNNING).first()
        if row is None:
            return 0
        chunk, row.waiting = row.waiting[:CUSTOMERS_PER_PART], row.waiting[CUSTOMERS_PER_PART:]
        if chunk:
            keep_part(row, chunk)
        if not row.waiting:
            finish_day(row)
        row.save()
    return 1


def day_under_way(*, now: datetime) -> ProfiledDay | None:
    """Return the unfinished day, or a new one with its sample: the newest missing one. None where none is missing."""
    unfinished = ProfiledDay.objects.filter(state=ProfiledDay.State.RUNNING).order_by("-day").first()
    if unfinished is not None:
        return unfinished
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    oldest = yesterday - timedelta(days=DAYS_MADE_UP - 1)
    there = set(ProfiledDay.objects.filter(day__gte=oldest).values_list("day", flat=True))
    missing = [day for back in range(DAYS_MADE_UP) if (day := yesterday - timedelta(days=back)) not in there]
    if not missing:
        return None
    delete_expired(now=now)
    customer_ids, is_everybody = draw_customers(settings.PROFILE_SAMPLE)
    row = ProfiledDay(day=missing[0], is_everybody=is_everybody, waiting=customer_ids)
    ProfiledDay.objects.bulk_create([row], ignore_conflicts=True)
    return ProfiledDay.objects.get(day=missing[0])


def delete_expired(*, now: datetime) -> None:
    """Delete the days and hours past DAYS_KEPT; the baseline week stays as long as it is in use."""
    oldest = now.astimezone(UTC).date() - timedelta(days=DAYS_KEPT)
    expired = ProfiledDay.objects.filter(day__lt=oldest)
    baseline = BaselineWeek.objects.first()
    if baseline is not None:
        expired = expired.exclude(day__in=days_from(baseline.first_day))
    expired.delete()
    EventHour.objects.filter(hour__lt=day_end(oldest)).delete()


def days_from(first: date) -> list[date]:
    """Return the days of the week that begins with this one."""
    return [first + timedelta(days=number) for number in range(DAYS_OF_A_WEEK)]


def day_end(day: date) -> datetime:
    """Return the moment at which a day is over, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


# --- The values of some customers -------------------------------------------------------------------------------------


def keep_part(row: ProfiledDay, customer_ids: Sequence[str]) -> None:
    """Store the columns of these customers, of those that were known at the end of the day."""
    as_of = day_end(row.day)
    known = registry_snapshot.get()
    customer_ids, stored = read_stored(customer_ids, as_of=as_of, known=known)
    if customer_ids:
        columns = {
            name: column
            for view in live_views(known)
            for name, column in live_values(view, stored, as_of=as_of).items()
        }
        file = BytesIO()
        keywords: dict[str, Any] = columns
        np.savez_compressed(file, **keywords)
        row.parts.create(columns=file.getvalue())
        row.customers += len(customer_ids)


def live_views(known: Registry) -> list[FeatureView]:
    return [known.live_view(feature_type) for feature_type in known.live]


def read_stored(customer_ids: Sequence[str], *, as_of: datetime, known: Registry) -> tuple[list[str], StoredRows]:
    """Return those of the customers that were known at a moment, and the rows that held then; two queries.

    Whoever has a row was known, whenever this instance got to know them: their history may have been loaded later.
    """
    views = {row: None for view in live_views(known) for row in (view, *known.inputs(view))}
    seen = set(Customer.objects.filter(pk__in=customer_ids, first_seen_at__lt=as_of).values_list("pk", flat=True))
    rows = history.latest(customer_ids, versions=[view.key for view in views], as_of=as_of)
    seen |= {row.customer_id for row in rows}
    there = [customer_id for customer_id in customer_ids if customer_id in seen]
    by_view = {view: rows_of(view, rows=rows, customer_ids=there) for view in views}
    return there, StoredRows(customer_ids=there, known=known, rows=by_view)


def live_values(view: FeatureView, stored: StoredRows, *, as_of: datetime) -> dict[str, Floats]:
    """Return a version's values at a moment as columns; NaN where there is none, or where it has expired."""
    until_us = np.full(len(stored.customer_ids), microseconds(as_of))
    values = values_at(view, stored, until_us=until_us)
    lifetime = written_lifetime(view)
    if lifetime is None:
        return values
    rows = stored.rows[view]
    has_expired = rows.spread(rows.since_us()) < microseconds(as_of - lifetime)
    return {name: np.where(has_expired, np.nan, column) for name, column in values.items()}


# --- The end of a day -------------------------------------------------------------------------------------------------


def finish_day(row: ProfiledDay) -> None:
    """Turn the columns of the day into distributions."""
    known = registry_snapshot.get()
    parts = [np.load(BytesIO(part.columns), allow_pickle=False) for part in row.parts.order_by("pk")]
    profiles = [
        profile_of(row, view=view, name=name, values=np.concatenate([part[name] for part in parts if name in part]))
        for view in live_views(known)
        for name in view.names
        if any(name in part for part in parts)
    ]
    FeatureProfile.objects.bulk_create(profiles, ignore_conflicts=True)
    row.parts.all().delete()
    row.state, row.done_at = ProfiledDay.State.DONE, Now()


def profile_of(row: ProfiledDay, *, view: FeatureView, name: str, values: Floats) -> FeatureProfile:
    """Return the profile of a column, not saved."""
    found = Distribution.of(values)
    return FeatureProfile(
        day=row,
        feature_type=FeatureType(view.feature_type),
        version=view.number,
        name=name,
        customers=found.customers,
        missing=found.missing,
        # Divided first: the sum of large values may be more than a double can hold.
        mean=float(np.nansum(values / found.count)) if found.count else None,
        edges=found.edges.tolist(),
        shares=found.shares.tolist(),
    )


def distribution_of(profile: FeatureProfile) -> Distribution:
    """Return the distribution that a profile holds."""
    return Distribution(
        count=profile.customers - profile.missing,
        missing=profile.missing,
        edges=np.array(profile.edges, dtype=np.float64),
        shares=np.array(profile.shares, dtype=np.float64),
    )


def finished_days() -> QuerySet[ProfiledDay]:
    """Return the days that are done and have customers, newest first."""
    return ProfiledDay.objects.filter(state=ProfiledDay.State.DONE, customers__gt=0)
