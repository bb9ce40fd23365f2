"""From activity to history: locks the customers, computes every readable version and appends what is news."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection

from features import history, weights
from features.engines import postgres
from features.formulas import NEVER, Activity, Windowed
from features.history import Latest
from features.models import FeatureType
from features.registry import FeatureView, Registry, registry
from features.values import (
    Columns,
    behavioral_values,
    column,
    derived_values,
    leaves_us,
    moved_to,
    stored_columns,
)

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
    recompute_at = case when %(read_events)s
        then timestamptz 'epoch' + nullif(new.leaves_us, %(never)s) * interval '1 microsecond'
        else customer.recompute_at end
from unnest(%(customer_ids)s::text[], %(leaves_us)s::bigint[]) as new (customer_id, leaves_us)
where customer.customer_id = new.customer_id
    and (customer.computed_at is null or customer.computed_at <= %(as_of)s)
"""
# Values that time moves are the same computed or moved, but for the last bits.
NEARLY = 1e-9


def compute_from_events(customer_ids: Sequence[str]) -> None:
    """Computes every readable version from the events of the windows. Runs in the caller's transaction."""
    if not customer_ids:
        return
    register(customer_ids)
    lock(customer_ids)
    as_of = database_now()
    known = registry.get(younger_than=0)
    activity = postgres.aggregate(customer_ids, as_of=as_of, window_days=settings.WINDOW_DAYS, features=known.windowed)
    record(activity, as_of=as_of, known=known)


def compute_from_history(customer_ids: Sequence[str]) -> None:
    """Computes from the activity that history holds: new weights and the passing of time need no events.

    Who lacks a version's values, as its computation began before the version went into shadow and was committed after
    everybody's events were aggregated for it, is computed from their events. Runs in the caller's transaction, which
    holds the customers' locks.
    """
    if not customer_ids:
        return
    as_of = database_now()
    known = registry.get(younger_than=0)
    rows = history.latest(customer_ids, versions=[view.key for view in known.behavioral])
    rows_of = Counter(row.customer_id for row in rows)
    lacking = [customer_id for customer_id, number in rows_of.items() if number < len(known.behavioral)]
    if lacking:
        compute_from_events(lacking)
        rows = [row for row in rows if rows_of[row.customer_id] == len(known.behavioral)]
    activities = {
        view: stored_activity([row for row in rows if row.version == view.number], view=view, as_of=as_of)
        for view in known.behavioral
    }
    append(activities, as_of=as_of, known=known, read_events=False)


def record(activity: Activity, *, as_of: datetime, known: Registry | None = None) -> None:
    """Scores what engines have made of the events, appends what is news and notes what was computed.

    A version whose windowed features the engine was not asked for came later: its own computation is under way.
    """
    known = known or registry.get(younger_than=0)
    computable = [view for view in known.behavioral if view.windowed.keys() <= activity.windowed.keys()]
    append(dict.fromkeys(computable, activity), as_of=as_of, known=known, read_events=True)


def stored_activity(rows: Sequence[Latest], *, view: FeatureView, as_of: datetime) -> Activity:
    """What a version's rows were computed from, their windowed values moved to `as_of`."""
    activity = Activity.from_records([row.customer_id for row in rows], [row.metadata["activity"] for row in rows])
    held = {name: column([row.features for row in rows], name) for name in view.windowed}
    moved = moved_to(as_of, rows, view=view)
    never = np.full(len(rows), NEVER)
    windowed = {name: Windowed(moved.get(name, held[name]), first_us=never, last_us=never) for name in held}
    return replace(activity, windowed=windowed)


def append(activities: Mapping[FeatureView, Activity], *, as_of: datetime, known: Registry, read_events: bool) -> None:
    """Appends each behavioral version's values of its activity, where they are news, and what is derived from them.

    The weights are read after `as_of`: a computation later than an activation can't miss it.
    """
    active = weights.active_sets()
    computed: dict[FeatureView, Columns] = {}
    news: dict[FeatureView, set[str]] = {}
    for view, activity in activities.items():
        weight_set = weights.of_version(view.number, active=active)
        computed[view] = behavioral_values(view, activity, weights=weights.as_weights(weight_set), as_of=as_of)
        news[view] = append_behavioral(view, activity, computed[view], weight_set_id=weight_set.pk, as_of=as_of)
    for view in known.derived:
        append_derived(view, computed=computed, news=news, as_of=as_of, known=known)
    live = activities[known.live_view(FeatureType.BEHAVIORAL)]
    weight_set_id = weights.last_activated(active).pk
    confirm_computed(live, weight_set_id=weight_set_id, as_of=as_of, known=known, read_events=read_events)


def append_behavioral(
    view: FeatureView, activity: Activity, values: Columns, *, weight_set_id: int, as_of: datetime
) -> set[str]:
    """Appends a version's values where they are news. Returns the customers of whom they were."""
    changed = history.append_changed(
        activity.customer_ids,
        feature_type=view.feature_type,
        version=view.number,
        as_of=as_of,
        features=values.rows(),
        metadata=[{"weight_set": weight_set_id, "activity": row} for row in activity.to_records()],
        time_dependent=view.time_dependent,
        moved_by_more=moved_by_more(view, values, as_of=as_of) if view.decaying else (),
        is_computed=True,
    )
    return set(changed)


def moved_by_more(view: FeatureView, computed: Columns, *, as_of: datetime) -> set[str]:
    """The customers whose decaying values are not what time alone makes of those held."""
    rows = history.latest(computed.customer_ids, versions=[view.key], as_of=as_of)
    place = {customer_id: number for number, customer_id in enumerate(computed.customer_ids)}
    places = [place[row.customer_id] for row in rows]
    moved = moved_to(as_of, rows, view=view)
    differ = np.zeros(len(rows), dtype=bool)
    for feature in view.decaying:
        differ |= ~np.isclose(computed.by_name[feature.name][places], moved[feature.name], rtol=NEARLY, atol=0.0)
    return {row.customer_id for row, differs in zip(rows, differ, strict=True) if differs}


def append_derived(
    view: FeatureView,
    *,
    computed: Mapping[FeatureView, Columns],
    news: Mapping[FeatureView, set[str]],
    as_of: datetime,
    known: Registry,
) -> None:
    """Appends a derived version's values of the customers of whom an input was news or written, or who have none yet;
    the others' moved with time alone."""
    customer_ids = sorted({customer_id for columns in computed.values() for customer_id in columns.customer_ids})
    inputs = known.inputs(view)
    written = [row for row in inputs if row not in computed]
    rows = history.latest(customer_ids, versions=[row.key for row in (*written, view)], as_of=as_of)
    held = {key: [row for row in rows if (row.feature_type, row.version) == key] for key in known.views}
    values = derived_values(
        view,
        [
            *(computed[row] for row in inputs if row in computed),
            *(stored_columns(held[row.key], names=row.names) for row in written),
        ],
    )
    wanted = set(customer_ids).difference(row.customer_id for row in held[view.key])
    wanted.update(*(news[row] for row in inputs if row in news))
    wanted.update(row.customer_id for input in written for row in held[input.key] if row.is_newer_than_computation)
    chosen = [row for row in zip(values.customer_ids, values.rows(), strict=True) if row[0] in wanted and row[1]]
    history.append_changed(
        [customer_id for customer_id, _ in chosen],
        feature_type=view.feature_type,
        version=view.number,
        as_of=as_of,
        features=[features for _, features in chosen],
        metadata=[{}] * len(chosen),
        is_computed=True,
    )


def confirm_computed(
    activity: Activity, *, weight_set_id: int, as_of: datetime, known: Registry, read_events: bool
) -> None:
    """Notes on the customers what was computed when, changed or not; an older computation changes nothing."""
    leaving = leaves_us(activity, features=known.windowed, window_days=settings.WINDOW_DAYS)
    parameters: dict[str, Any] = {
        "customer_ids": activity.customer_ids,
        "leaves_us": leaving.tolist(),
        "never": NEVER,
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
