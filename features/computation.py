"""From activity to history: locks the customers, scores their activity and appends what is news."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from features import history, weights
from features.engines import postgres
from features.formulas import (
    BEHAVIORAL,
    NEVER,
    RFM_SCORE,
    TIME_DEPENDENT,
    Activity,
    Floats,
    behavioral,
    microseconds,
    rfm_score,
)
from features.models import FeatureType
from features.registry import registry

REGISTER_CUSTOMERS = """
insert into features_customer (customer_id) select unnest(%s::text[]) order by 1 on conflict do nothing
"""
REGISTER_MARKED = """
insert into features_customer (customer_id)
select distinct customer_id from events_dirtycustomer
where not exists (
    select from events_erasedcustomer where customer_hash = sha256(convert_to(customer_id, 'UTF8'))
)
order by 1
on conflict do nothing
"""
LOCK_CUSTOMERS = """
select customer_id from features_customer where customer_id = any(%s) order by customer_id for update
"""
CONFIRM_COMPUTED = """
update features_customer customer
set computed_at = %(as_of)s, weight_set_id = %(weight_set_id)s,
    recompute_at = case when %(read_events)s then
        timestamptz 'epoch' + nullif(new.first_event_us, %(never)s) * interval '1 microsecond' + %(window)s
        else customer.recompute_at end
from unnest(%(customer_ids)s::text[], %(first_event_us)s::bigint[]) as new (customer_id, first_event_us)
where customer.customer_id = new.customer_id
    and (customer.computed_at is null or customer.computed_at <= %(as_of)s)
"""


def compute_from_events(customer_ids: Sequence[str]) -> None:
    """Computes from the events in the window. Runs in the caller's transaction."""
    if not customer_ids:
        return
    register(customer_ids)
    lock(customer_ids)
    as_of = database_now()
    activity = postgres.aggregate(customer_ids, as_of=as_of, window_days=settings.WINDOW_DAYS)
    record(activity, as_of=as_of, read_events=True)


def compute_from_history(customer_ids: Sequence[str]) -> None:
    """Computes from the activity that history holds: new weights and the passing of time need no events.

    Runs in the caller's transaction, which holds the customers' locks.
    """
    if not customer_ids:
        return
    versions = {FeatureType.BEHAVIORAL.value: registry.get().live[FeatureType.BEHAVIORAL]}
    rows = history.latest(customer_ids, versions=versions)
    activity = Activity.from_records([row.customer_id for row in rows], [row.metadata["activity"] for row in rows])
    record(activity, as_of=database_now(), read_events=False)


def record(activity: Activity, *, as_of: datetime, read_events: bool) -> None:
    """Scores the activity under the active weights, appends what is news and notes what was computed.

    The weights are read after `as_of`: a computation later than an activation can't miss it.
    """
    live = registry.get().live
    version = live[FeatureType.BEHAVIORAL]
    weight_set = weights.active_set(version)
    values = behavioral(
        activity,
        weights=weights.as_weights(weight_set),
        as_of_us=microseconds(as_of),
        window_days=settings.WINDOW_DAYS,
    )
    metadata = [{"weight_set": weight_set.pk, "activity": record} for record in activity.to_records()]
    columns = [values[name].tolist() for name in BEHAVIORAL]
    features = [dict(zip(BEHAVIORAL, row, strict=True)) for row in zip(*columns, strict=True)]
    changed = history.append_changed(
        activity.customer_ids,
        feature_type=FeatureType.BEHAVIORAL,
        version=version,
        as_of=as_of,
        features=features,
        metadata=metadata,
        time_dependent=TIME_DEPENDENT,
        is_computed=True,
    )
    append_derived(
        activity.customer_ids, only=set(changed), values=values, version=live[FeatureType.DERIVED], as_of=as_of
    )
    confirm_computed(activity, weight_set_id=weight_set.pk, as_of=as_of, read_events=read_events)


def append_derived(
    customer_ids: Sequence[str], *, only: set[str], values: Mapping[str, Floats], version: str, as_of: datetime
) -> None:
    """Appends the derived values of the customers whose behavioral row was news; the others' moved with time alone."""
    scores = rfm_score(
        values["recency_score"], frequency=values["frequency_score"], monetary=values["monetary_score"]
    ).tolist()
    derived = {
        customer_id: score for customer_id, score in zip(customer_ids, scores, strict=True) if customer_id in only
    }
    history.append_changed(
        list(derived),
        feature_type=FeatureType.DERIVED,
        version=version,
        as_of=as_of,
        features=[{RFM_SCORE: score} for score in derived.values()],
        metadata=[{}] * len(derived),
        is_computed=True,
    )


def confirm_computed(activity: Activity, *, weight_set_id: int, as_of: datetime, read_events: bool) -> None:
    """Notes on the customers what was computed when, changed or not; an older computation changes nothing."""
    parameters: dict[str, Any] = {
        "customer_ids": activity.customer_ids,
        "first_event_us": activity.first_event_us.tolist(),
        "never": NEVER,
        "window": timedelta(days=settings.WINDOW_DAYS),
        "weight_set_id": weight_set_id,
        "as_of": as_of,
        "read_events": read_events,
    }
    with connection.cursor() as cursor:
        cursor.execute(CONFIRM_COMPUTED, parameters)


def register(customer_ids: Sequence[str] | None) -> None:
    """Makes the customers (None: all that have a mark) known, so that there is a row to lock."""
    with connection.cursor() as cursor:
        if customer_ids is None:
            cursor.execute(REGISTER_MARKED)
        else:
            cursor.execute(REGISTER_CUSTOMERS, [list(customer_ids)])


def lock(customer_ids: Sequence[str]) -> set[str]:
    """Holds the customers until the transaction ends, in one order for everybody. Returns those that there are."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_CUSTOMERS, [list(customer_ids)])
        return {customer_id for (customer_id,) in cursor.fetchall()}


def database_now() -> datetime:
    """PostgreSQL's clock: the one that all workers share. Read after the locks are held, it only goes forward."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
