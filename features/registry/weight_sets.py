"""Weight sets and their numbers, as the formulas and the API take them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.db.models import Subquery

from events.event_types import EVENT_TYPES
from events.registered_types import event_types
from featurehub.lib.errors import UnknownError
from features.formulas.behavioral import NO_WEIGHT, USUAL_NORM, Weights
from features.models import FeatureVersion, Weight, WeightSet


def active_sets() -> dict[str, WeightSet]:
    """Return behavioral version → its active set, with its weights, in two queries.

    A retired version has the set that was active last. It is included because `last_activated` looks at the sets of all
    versions, and because a computation that is under way may still use the version.
    """
    activated = WeightSet.objects.filter(activated_at__isnull=False).order_by("version_id", "-activated_at", "-pk")
    active = activated.distinct("version_id").select_related("version").prefetch_related("weights")
    return {row.version.number: row for row in active}


def set_of_version(number: str, *, active: Mapping[str, WeightSet]) -> WeightSet:
    """Return the version's set among `active_sets`.

    Raises UnknownError where the version has none.
    """
    try:
        return active[number]
    except KeyError:
        raise UnknownError(f"Behavioral version {number} has no active weight set.") from None


def active_set(number: str) -> WeightSet:
    """Return the active set of a behavioral version, with its weights; of a retired version the last one.

    Raises UnknownError where the version has none.
    """
    return set_of_version(number, active=active_sets())


def live_set() -> WeightSet | None:
    """Return the active set of the live behavioral version, None where there is none; one query."""
    active = WeightSet.objects.filter(state=WeightSet.State.ACTIVE, version__state=FeatureVersion.State.LIVE)
    return active.select_related("version").first()


def last_activated(active: Mapping[str, WeightSet]) -> WeightSet:
    """Return the set that was activated last, of any version.

    Its id stands for all of `active_sets`: `set_active_at` finds each version's set by it.
    """
    return max(active.values(), key=lambda row: (row.activated_at, row.pk))


@lru_cache(maxsize=1024)
def set_active_at(number: str, *, at: int) -> int | None:
    """Return the id of the version's set that was active when the set `at` was activated; None where there was none.

    `at` is the id of a set of any version. Activated sets do not change, so the result is cached.
    """
    moment = WeightSet.objects.filter(pk=at).values("activated_at")
    earlier = WeightSet.objects.filter(version__number=number, activated_at__lte=Subquery(moment))
    return earlier.order_by("-activated_at", "-pk").values_list("pk", flat=True).first()


def as_weights(weight_set: WeightSet) -> Weights:
    """Return the numbers of a set as the formulas take them.

    A row that says what no row says is left out, so that sets with the same numbers are equal.
    """
    rows = [row for row in weight_set.weights.all() if row.event_type in EVENT_TYPES or not says_nothing(row)]
    return Weights(
        weight={row.event_type: row.weight for row in rows},
        norm={row.event_type: row.norm for row in rows},
        monetary_norm=weight_set.monetary_norm,
    )


def says_nothing(row: Weight) -> bool:
    """Return whether an event type without the row would have the same numbers."""
    return (row.weight, row.norm) == (NO_WEIGHT, USUAL_NORM)


@lru_cache(maxsize=1024)
def activated_weights(weight_set_id: int) -> Weights:
    """Return the numbers of a set that is or was active.

    They never change, so they are read once per process.
    """
    activated = WeightSet.objects.filter(activated_at__isnull=False)
    return as_weights(activated.prefetch_related("weights").get(pk=weight_set_id))


def weights_of(weight_set_id: int) -> Weights:
    """Return the present numbers of a set, which may be a draft.

    Raises UnknownError where there is no such set.
    """
    try:
        return as_weights(WeightSet.objects.prefetch_related("weights").get(pk=weight_set_id))
    except WeightSet.DoesNotExist:
        raise UnknownError(f"There is no weight set {weight_set_id}.", attr="weights") from None


def describe_weight_set(weight_set: WeightSet) -> dict[str, Any]:
    """Return a set as the API shows it."""
    numbers = as_weights(weight_set)
    return {
        "id": weight_set.pk,
        "name": weight_set.name,
        "version": weight_set.version.number,
        "version_state": weight_set.version.state,
        "state": weight_set.state,
        "origin": weight_set.origin,
        "reason": weight_set.reason,
        "created_at": weight_set.created_at,
        "activated_at": weight_set.activated_at,
        "monetary_norm": weight_set.monetary_norm,
        "weights": {
            name: {"weight": numbers.weight_of(name), "norm": numbers.norm_of(name)} for name in weighed_types(numbers)
        },
    }


def activated_sets() -> list[dict[str, Any]]:
    """Return the active and the superseded sets as the API shows them, newest first."""
    activated = WeightSet.objects.filter(activated_at__isnull=False)
    return [describe_weight_set(row) for row in activated.select_related("version").prefetch_related("weights")]


def weighed_types(*sets: Weights) -> list[str]:
    """Return the event types that sets have numbers for: those that take events, and archived ones with a weight."""
    known = event_types.get()
    return [name for name in known.names if name in known.accepted or any(each.weight_of(name) for each in sets)]


def with_changes(weights: Weights, *, changes: Mapping[str, Any], monetary_norm: float | None) -> Weights:
    """Return `weights` with some numbers replaced.

    `changes` is event type → {"weight", "norm"}, each optional. `monetary_norm` is kept where it is None.
    """
    names = dict.fromkeys([*weights.weight, *changes])
    return Weights(
        weight={name: changes.get(name, {}).get("weight", weights.weight_of(name)) for name in names},
        norm={name: changes.get(name, {}).get("norm", weights.norm_of(name)) for name in names},
        monetary_norm=weights.monetary_norm if monetary_norm is None else monetary_norm,
    )
