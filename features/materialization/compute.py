"""Compute every readable version from activity, and append the values that changed to the offline store."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
from django.conf import settings

from featurehub.lib.errors import ConflictError
from features.engines import postgres
from features.formulas.activity import NEVER, Activity, Windowed
from features.formulas.values import Columns, behavioral_values, column, derived_values
from features.formulas.view import FeatureView
from features.materialization.confirmation import confirm_computed, listed_columns
from features.materialization.isolation import computing
from features.materialization.locks import database_now, lock_customers, register_customers
from features.models import FeatureType, WeightSet
from features.offline import history
from features.offline.columns import decayed_to, stored_columns
from features.offline.computed import append_computed
from features.offline.history import NO_CONTENTS, Latest, RowContents
from features.registry import weight_sets
from features.registry.contents import Registry
from features.registry.list_layout import list_layout
from features.registry.snapshot import registry_snapshot

# A decayed value, and the same value computed from the events, differ in their last bits only.
DECAY_TOLERANCE = 1e-9


def compute_from_events(customer_ids: Sequence[str], *, anew: bool = False) -> RowContents:
    """Compute every readable version from the events of the windows, in the caller's transaction.

    Return the contents of the behavioral rows that were appended. `anew`: trust no row of the history; append a row
    wherever the newest one differs at all.
    """
    if not customer_ids:
        return NO_CONTENTS
    register_customers(customer_ids)
    lock_customers(customer_ids)
    as_of = database_now()
    known = registry_snapshot.get(younger_than=0)
    activity = postgres.aggregate(customer_ids, as_of=as_of, window_days=settings.WINDOW_DAYS, features=known.windowed)
    return record_activity(activity, as_of=as_of, known=known, is_late=False, anew=anew)


# Version → the newest rows of its customers, in the order of the customers' ids.
LatestRows: TypeAlias = Mapping[FeatureView, Sequence[Latest]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The values that were computed of one version, and the rows that were appended.

    `features` and `metadata`, of a behavioral version, are in the order of the values. `rows`: customer → id of the
    new row, of the customers whose values changed.
    """

    values: Columns
    features: Sequence[dict[str, float]] = ()
    metadata: Sequence[dict[str, Any]] = ()
    rows: Mapping[str, int]

    def contents(self) -> RowContents:
        """Return the contents of the new rows of a behavioral version."""
        of_customers = zip(self.values.customer_ids, self.features, self.metadata, strict=True)
        return {self.rows[row[0]]: row[1:] for row in of_customers if row[0] in self.rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """The result of a computation from stored activity at `as_of`: the rows held until then, and what was appended."""

    as_of: datetime
    known: Registry
    held: LatestRows
    appended: Mapping[FeatureView, Appended]


def compute_from_history(customer_ids: Sequence[str]) -> Recomputed | RowContents:
    """Compute from the stored activity, without events: for new weights, and for the passing of time.

    Customers that lack a version's values are computed from their events, and are not in the result; where no others
    are left, it is that of `compute_from_events`. They lack them where their computation began before the version went
    into shadow, and was committed after everybody's events were aggregated for it. While a version is taken up, that is
    everybody: its stored activity lacks the events that came while it was put aside. Runs in the caller's transaction,
    which holds the customers' locks.
    """
    if not customer_ids:
        return NO_CONTENTS
    as_of = database_now()
    known = registry_snapshot.get(younger_than=0)
    if known.taken_up or not known.behavioral:
        return compute_from_events(customer_ids)
    rows = history.latest(customer_ids, versions=[view.key for view in (*known.behavioral, *beside_behavioral(known))])
    behavioral = Counter(row.customer_id for row in rows if row.feature_type == FeatureType.BEHAVIORAL)
    lacking = {customer_id for customer_id, number in behavioral.items() if number < len(known.behavioral)}
    contents = compute_from_events(sorted(lacking))
    complete = behavioral.keys() - lacking
    if not complete:
        return contents
    held = by_view((row for row in rows if row.customer_id in complete), known=known)
    activities = {view: stored_activity(held[view], view=view, as_of=as_of) for view in known.behavioral}
    base = activities[known.behavioral[0]]
    appended = append(activities, base=base, as_of=as_of, known=known, read_events=False, is_late=False, held=held)
    return Recomputed(as_of=as_of, known=known, held=held, appended=appended)


def by_view(rows: Iterable[Latest], *, known: Registry) -> LatestRows:
    """Return the rows by version, in the order of the customers' ids."""
    held: dict[FeatureView, list[Latest]] = {view: [] for view in known.views.values()}
    for row in sorted(rows, key=attrgetter("customer_id")):
        held[known.views[row.feature_type, row.version]].append(row)
    return held


def record_activity(
    activity: Activity, *, as_of: datetime, known: Registry | None = None, is_late: bool = True, anew: bool = False
) -> RowContents:
    """Compute from activity that an engine has aggregated, append what changed, and note it on the customers.

    Return the contents of the behavioral rows that were appended. Unless `is_late`, nobody was computed for a later
    moment than `as_of`. A version with windowed features that the activity lacks went into shadow after the
    aggregation, and has a recomputation of its own. Raises ConflictError where that version is live by now.
    """
    known = known or registry_snapshot.get(younger_than=0)
    computable = [view for view in known.behavioral if view.windowed.keys() <= activity.windowed.keys()]
    live = known.live_view(FeatureType.BEHAVIORAL)
    if live in known.behavioral and live not in computable:
        raise ConflictError(f"{live.feature_type}:{live.number} has gone live since this began: start it again.")
    appended = append(
        dict.fromkeys(computable, activity),
        base=activity,
        as_of=as_of,
        known=known,
        read_events=True,
        is_late=is_late,
        anew=anew,
    )
    return {row_id: content for view in computable for row_id, content in appended[view].contents().items()}


def stored_activity(rows: Sequence[Latest], *, view: FeatureView, as_of: datetime) -> Activity:
    """Return the activity that a version's rows were computed from, with its windowed values decayed to `as_of`."""
    activity = Activity.from_records([row.customer_id for row in rows], [row.metadata["activity"] for row in rows])
    held = {name: column([row.features for row in rows], name) for name in view.windowed}
    moved = decayed_to(as_of, rows, view=view)
    never = np.full(len(rows), NEVER)
    windowed = {name: Windowed(moved.get(name, held[name]), first_us=never, last_us=never) for name in held}
    return replace(activity, windowed=windowed)


def append(
    activities: Mapping[FeatureView, Activity],
    *,
    base: Activity,
    as_of: datetime,
    known: Registry,
    read_events: bool,
    is_late: bool,
    held: LatestRows | None = None,
    anew: bool = False,
) -> dict[FeatureView, Appended]:
    """Append each behavioral version's values that changed, and those of the derived versions. Return them by version.

    `activities`: behavioral version → what it is computed from; `base`: the activity of the same customers, also where
    every version is put aside. `held`: the rows that hold at `as_of`, of every version
    that is computed or read; None: they are read here. `read_events`: the activities come from events, so the next
    moment at which an event leaves the window is known. The weights are read after `as_of`: a computation later than an
    activation can't miss it.
    """
    active = weight_sets.active_sets()
    if held is None:
        views = [*beside_behavioral(known), *activities]
        rows = history.latest(base.customer_ids, versions=[view.key for view in views], as_of=as_of)
        held = by_view(rows, known=known)
    appended: dict[FeatureView, Appended] = {}
    for view, activity in activities.items():
        with computing(view):
            weight_set = weight_sets.set_of_version(view.number, active=active)
            appended[view] = append_behavioral(
                view, activity, weight_set=weight_set, as_of=as_of, is_late=is_late, held=held, anew=anew
            )
    for view in known.derived:
        with computing(view):
            appended[view] = append_derived(
                view, appended=appended, as_of=as_of, known=known, is_late=is_late, held=held, anew=anew
            )
    weight_set_id = weight_sets.last_activated(active).pk
    layout = list_layout(known)
    values = {view: part.values for view, part in appended.items()}
    confirm_computed(
        base,
        listed=listed_columns(base, values=values, held=held, layout=layout),
        weight_set_id=weight_set_id,
        as_of=as_of,
        known=known,
        layout=layout,
        read_events=read_events,
    )
    return appended


def beside_behavioral(known: Registry) -> list[FeatureView]:
    """Return the derived versions, and the versions written by clients that they, or lists, are computed from."""
    inputs = [row for view in known.derived for row in known.inputs(view)]
    read = dict.fromkeys([*inputs, *list_layout(known).written])
    return [*known.derived, *(row for row in read if row not in known.behavioral)]


def append_behavioral(
    view: FeatureView,
    activity: Activity,
    *,
    weight_set: WeightSet,
    as_of: datetime,
    is_late: bool,
    held: LatestRows,
    anew: bool,
) -> Appended:
    """Append a behavioral version's values of the customers whose values changed."""
    values = behavioral_values(
        view, activity, weights=weight_sets.as_weights(weight_set), as_of=as_of, window_days=settings.WINDOW_DAYS
    )
    features = values.rows()
    metadata = [{"activity": row, "weight_set": weight_set.pk} for row in activity.to_records()]
    decays = view.decaying and not anew
    rows = append_computed(
        activity.customer_ids,
        feature_type=view.feature_type,
        version=view.number,
        as_of=as_of,
        features=features,
        metadata=metadata,
        held=held[view],
        time_dependent=view.time_dependent,
        changed_beyond_decay=changed_beyond_decay(view, values, rows=held[view], as_of=as_of) if decays else (),
        is_late=is_late,
        anew=anew,
    )
    return Appended(values=values, features=features, metadata=metadata, rows=rows)


def changed_beyond_decay(view: FeatureView, computed: Columns, *, rows: Sequence[Latest], as_of: datetime) -> set[str]:
    """Return the customers whose decaying values changed by more than decay explains."""
    place = {customer_id: number for number, customer_id in enumerate(computed.customer_ids)}
    places = [place[row.customer_id] for row in rows]
    moved = decayed_to(as_of, rows, view=view)
    differ = np.zeros(len(rows), dtype=bool)
    for feature in view.decaying:
        differ |= ~np.isclose(
            computed.by_name[feature.name][places], moved[feature.name], rtol=DECAY_TOLERANCE, atol=0.0
        )
    return {row.customer_id for row, differs in zip(rows, differ, strict=True) if differs}


def append_derived(
    view: FeatureView,
    *,
    appended: Mapping[FeatureView, Appended],
    as_of: datetime,
    known: Registry,
    is_late: bool,
    held: LatestRows,
    anew: bool,
) -> Appended:
    """Append a derived version's values of the customers that need a new row.

    These are the customers without a row, those with a new row of an input, and those of whom a client wrote an input
    since their last computation. All other derived values changed by decay alone, unless everything is written `anew`.
    Who had values and has none any more gets an empty row; who never had any gets none.
    """
    inputs = known.inputs(view)
    computed, written = [row for row in inputs if row in appended], [row for row in inputs if row not in appended]
    values = derived_values(
        view,
        [
            *(appended[row].values for row in computed),
            *(stored_columns(held[row], names=row.names) for row in written),
        ],
    )
    behavioral = (appended[row].values for row in known.behavioral if row in appended)
    customer_ids = {customer_id for values in behavioral for customer_id in values.customer_ids}
    have_row = {row.customer_id for row in held[view]}
    wanted = customer_ids if anew else customer_ids - have_row
    wanted.update(*(appended[row].rows for row in computed))
    wanted.update(row.customer_id for input in written for row in held[input] if row.is_newer_than_computation)
    of_customers = zip(values.customer_ids, values.rows(), strict=True)
    chosen = [row for row in of_customers if row[0] in wanted and (row[1] or row[0] in have_row)]
    rows = append_computed(
        [customer_id for customer_id, _ in chosen],
        feature_type=view.feature_type,
        version=view.number,
        as_of=as_of,
        features=[features for _, features in chosen],
        metadata=[{}] * len(chosen),
        held=held[view],
        is_late=is_late,
        anew=anew,
    )
    return Appended(values=values, rows=rows)
