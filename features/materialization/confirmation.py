"""Note on the customers what a computation found: when, under which weights, until when it holds, and what is listed.

It is one statement, which writes each customer's row once. The numbers of customer lists are part of that row and have
no index, so that they cost a computation little more than their transport; see decision 18.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from django.conf import settings

from featurehub.database.beside import parameters_beside
from features.formulas.activity import MICROSECONDS_PER_SECOND, NEVER, Activity, Floats
from features.formulas.values import Columns, first_departure_us
from features.formulas.view import FeatureView
from features.offline.columns import stored_columns
from features.offline.history import Latest
from features.registry.contents import Registry
from features.registry.list_layout import LAST_PURCHASE, ListLayout

# A number that the computation did not come to (its version is put aside) is kept where the row is of the same layout.
# `last_seen_at` keeps an event that has left the window. The ids are named again for the reason that LATEST has.
CONFIRM_COMPUTED = """
update features_customer customer
set computed_at = %(as_of)s, weight_set_id = %(weight_set_id)s,
    recompute_at = case when %(read_events)s
        then timestamptz 'epoch' + nullif(new.leaves_us, %(never)s) * interval '1 microsecond'
        else customer.recompute_at end,
    last_seen_at = greatest(
        customer.last_seen_at, timestamptz 'epoch' + nullif(new.seen_us, %(never)s) * interval '1 microsecond'
    ),
    listed = array[{listed}], listed_of = %(listed_of)s
from unnest(%(customer_ids)s::text[], %(leaves_us)s::bigint[], %(seen_us)s::bigint[]{parameters})
    as new (customer_id, leaves_us, seen_us{columns})
where customer.customer_id = new.customer_id and customer.customer_id = any(%(customer_ids)s::text[])
    and (customer.computed_at is null or customer.computed_at <= %(as_of)s)
"""
KEPT_NUMBER = "case when customer.listed_of = %(listed_of)s then customer.listed[{place}] end"
# Place in the layout → the numbers of the customers; None where the computation has none.
ListedColumns = Sequence[Floats | None]


def listed_columns(
    base: Activity,
    *,
    values: Mapping[FeatureView, Columns],
    held: Mapping[FeatureView, Sequence[Latest]],
    layout: ListLayout,
) -> ListedColumns:
    """Return the numbers of customer lists, in the order of the layout and of the base's customers.

    `values` are what was computed of each version, `held` the newest rows of the versions that clients write.
    """
    by_version: dict[tuple[str, str], Mapping[str, Floats]] = {
        view.key: columns.of(base.customer_ids).by_name for view, columns in values.items()
    }
    for view in layout.written:
        by_version[view.key] = written_columns(held[view], view=view).of(base.customer_ids).by_name
    return [
        base.last_purchase_us / MICROSECONDS_PER_SECOND
        if source == LAST_PURCHASE
        else by_version.get((source.feature_type, source.number), {}).get(source.name)
        for source in layout.sources
    ]


def written_columns(rows: Sequence[Latest], *, view: FeatureView) -> Columns:
    """Return what clients wrote of a version, and under the empty name since when it holds, in seconds since 1970."""
    stored = stored_columns(rows, names=view.names)
    since = np.array([row.since_us for row in rows], dtype=np.float64) / MICROSECONDS_PER_SECOND
    return Columns(stored.customer_ids, {**stored.by_name, "": since})


@lru_cache(maxsize=16)
def confirmation_sql(is_given: tuple[bool, ...]) -> str:
    """Return the statement; `is_given` says for each place whether the computation has numbers for it."""
    places = [place for place, given in enumerate(is_given, start=1) if given]
    return CONFIRM_COMPUTED.format(
        listed=", ".join(
            f"new.listed_{place}" if given else KEPT_NUMBER.format(place=place)
            for place, given in enumerate(is_given, start=1)
        ),
        parameters="".join(f", %(listed_{place})s::float8[]" for place in places),
        columns="".join(f", listed_{place}" for place in places),
    )


def listed_parameters(listed: ListedColumns) -> dict[str, list[float | None]]:
    """Return the columns that are given as parameters `listed_N`, None for NaN."""
    return {
        f"listed_{place}": [value if value == value else None for value in values.tolist()]
        for place, values in enumerate(listed, start=1)
        if values is not None
    }


def confirm_computed(
    activity: Activity,
    *,
    listed: ListedColumns,
    weight_set_id: int,
    as_of: datetime,
    known: Registry,
    layout: ListLayout,
    read_events: bool,
) -> None:
    """Note on the customers when they were computed and under which weights, whether or not values changed.

    With `read_events`, note also when the next event leaves a window, and the newest one. A computation older than the
    customer's last one changes nothing.
    """
    leaving = first_departure_us(activity, features=known.windowed, window_days=settings.WINDOW_DAYS)
    parameters: dict[str, Any] = {
        "customer_ids": activity.customer_ids,
        "leaves_us": leaving.tolist(),
        "seen_us": activity.last_event_us.tolist(),
        "never": NEVER,
        "weight_set_id": weight_set_id,
        "as_of": as_of,
        "read_events": read_events,
        "listed_of": layout.checksum,
    }
    parameters |= listed_parameters(listed)
    with parameters_beside() as cursor:
        cursor.execute(confirmation_sql(tuple(values is not None for values in listed)), parameters)
