"""Read all that a check of consistency compares of n customers: Redis, history, events, and the customers' states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.conf import settings

from features.engines import postgres
from features.formulas.activity import NEVER, Activity, Bools, Floats, Ints
from features.formulas.view import FeatureView
from features.models import Customer, FeatureType
from features.offline import history
from features.offline.history import Latest
from features.online.held import HeldVersion, read_versions
from features.registry import weight_sets
from features.registry.contents import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The newest rows of one version; `places` are their customers' places among all n."""

    places: Ints
    rows: Sequence[Latest]
    customers: int

    def spread(self, values: Any) -> Floats:
        """Return a column of length n from one of the rows; NaN where a customer has no row."""
        column = np.full(self.customers, np.nan)
        column[self.places] = values
        return column

    def has_row(self) -> Bools:
        has = np.zeros(self.customers, dtype=bool)
        has[self.places] = True
        return has

    def since_us(self) -> Ints:
        return np.array([row.since_us for row in self.rows], dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """The history's rows of n customers, by version."""

    customer_ids: Sequence[str]
    known: Registry
    rows: Mapping[FeatureView, Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material(StoredRows):
    """Everything that was read of n customers. `held` was read from Redis, `activity` from events at `as_of`.

    The activity and the customers' states are in the order of `customer_ids`. `is_settled`: no event has left a window
    since the last computation, which was under the active weights. `has_events`: there are events in the window.
    """

    as_of: datetime
    held: Mapping[FeatureView, HeldVersion]
    activity: Activity
    order: Ints
    is_settled: Bools
    was_computed: Bools
    has_events: Bools

    def is_cached(self) -> Bools:
        """Return for each customer whether Redis holds the hash of the live versions."""
        return next(held.is_cached for view, held in self.held.items() if self.known.is_live(view))


def read_material(customer_ids: Sequence[str], *, as_of: datetime, known: Registry) -> Material:
    """Read what is to be compared: Redis first, so that nothing in it is newer than what PostgreSQL is asked for."""
    views = [view for view in known.views.values() if not depends_on_put_aside(view, known=known)]
    held = read_versions(customer_ids, views=views, known=known)
    activity = postgres.aggregate(customer_ids, as_of=as_of, window_days=settings.WINDOW_DAYS, features=known.windowed)
    place = {customer_id: number for number, customer_id in enumerate(activity.customer_ids)}
    order = np.array([place[customer_id] for customer_id in customer_ids], dtype=np.int64)
    states = {row.pk: row for row in Customer.objects.filter(pk__in=customer_ids)}
    newest = weight_sets.last_activated(weight_sets.active_sets()).pk
    rows = history.latest(customer_ids, versions=[view.key for view in views])
    return Material(
        customer_ids=customer_ids,
        as_of=as_of,
        known=known,
        held=held,
        rows={view: rows_of(view, rows=rows, customer_ids=customer_ids) for view in views},
        activity=activity,
        order=order,
        is_settled=np.array([is_settled(states.get(each), as_of=as_of, newest=newest) for each in customer_ids]),
        was_computed=np.array([each in states and states[each].computed_at is not None for each in customer_ids]),
        has_events=activity.first_event_us[order] != NEVER,
    )


def depends_on_put_aside(view: FeatureView, *, known: Registry) -> bool:
    """Return whether the version, or one that it is computed from, is put aside."""
    return view.key in known.put_aside or any(row.key in known.put_aside for row in known.inputs(view))


def is_settled(customer: Customer | None, *, as_of: datetime, newest: int) -> bool:
    """Return whether the customer's last computation still holds at `as_of`, as far as the customer's row tells."""
    if customer is None or (customer.recompute_at is not None and customer.recompute_at < as_of):
        return False
    return customer.computed_at is None or customer.weight_set_id == newest


def rows_of(view: FeatureView, *, rows: Sequence[Latest], customer_ids: Sequence[str]) -> Rows:
    """Return the version's rows; those of a computed version whose activity is not there count as missing."""
    of_view = {row.customer_id: row for row in rows if (row.feature_type, row.version) == view.key}
    if view.feature_type == FeatureType.BEHAVIORAL:
        of_view = {each: row for each, row in of_view.items() if "last_purchase_us" in row.metadata.get("activity", {})}
    places = [place for place, customer_id in enumerate(customer_ids) if customer_id in of_view]
    return Rows(
        places=np.array(places, dtype=np.int64),
        rows=[of_view[customer_ids[place]] for place in places],
        customers=len(customer_ids),
    )
