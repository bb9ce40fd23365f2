"""The life of a weight set: drafted, activated, superseded. Exactly one is active for each behavioral version."""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from celery import current_app
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from featurehub.errors import ConflictError, InvalidError, UnknownError
from features.formulas import Weights
from features.models import Customer, Run, WeightSet

RESCORE_TASK = "features.rescore"


def active_set(version: str) -> WeightSet:
    """The active set of a behavioral version, with its weights. Two queries."""
    try:
        return WeightSet.objects.prefetch_related("weights").get(version__number=version, state=WeightSet.State.ACTIVE)
    except WeightSet.DoesNotExist:
        raise UnknownError(f"Behavioral version {version} has no active weight set.") from None


def as_weights(weight_set: WeightSet) -> Weights:
    """The numbers of a set, as the formulas take them."""
    rows = list(weight_set.weights.all())
    return Weights(
        weight={row.event_type: row.weight for row in rows},
        norm={row.event_type: row.norm for row in rows},
        monetary_norm=weight_set.monetary_norm,
    )


@lru_cache(maxsize=1024)
def activated_weights(weight_set_id: int) -> Weights:
    """The numbers of a set that is or was active. They never change, so they are read once a process."""
    return as_weights(WeightSet.objects.prefetch_related("weights").exclude(state="draft").get(pk=weight_set_id))


def describe(weight_set: WeightSet) -> dict[str, Any]:
    """A set as the API shows it."""
    return {
        "id": weight_set.pk,
        "name": weight_set.name,
        "version": weight_set.version.number,
        "state": weight_set.state,
        "origin": weight_set.origin,
        "reason": weight_set.reason,
        "created_at": weight_set.created_at,
        "activated_at": weight_set.activated_at,
        "monetary_norm": weight_set.monetary_norm,
        "weights": {row.event_type: {"weight": row.weight, "norm": row.norm} for row in weight_set.weights.all()},
    }


def activated_sets() -> list[dict[str, Any]]:
    """The active and the earlier sets, newest first."""
    sets = WeightSet.objects.exclude(state=WeightSet.State.DRAFT).select_related("version").prefetch_related("weights")
    return [describe(weight_set) for weight_set in sets]


def activate(weight_set_id: int, *, by: AbstractBaseUser | None) -> Run:
    """Makes a draft the active set, freezes it, and starts the run that re-scores every customer.

    Raises ConflictError where it is no draft any more (somebody was faster), InvalidError where all weights are zero.
    """
    with transaction.atomic():
        weight_set = WeightSet.objects.select_for_update().select_related("version").get(pk=weight_set_id)
        # The version's row is the lock that two activations of different drafts meet at.
        type(weight_set.version).objects.select_for_update().get(pk=weight_set.version_id)
        weight_set.refresh_from_db()
        check_can_be_activated(weight_set)
        siblings = WeightSet.objects.filter(version=weight_set.version, state=WeightSet.State.ACTIVE)
        siblings.update(state=WeightSet.State.SUPERSEDED)
        WeightSet.objects.filter(pk=weight_set.pk).update(
            state=WeightSet.State.ACTIVE, activated_by=by, activated_at=Now()
        )
        run = Run.objects.create(
            kind=Run.Kind.RESCORE,
            weight_set=weight_set,
            total=Customer.objects.filter(weight_set__isnull=False).count(),
        )
        transaction.on_commit(partial(start_rescore, run.pk))
    return run


def check_can_be_activated(weight_set: WeightSet) -> None:
    """Raises ConflictError for a set that is no draft, InvalidError for one that can't score."""
    if weight_set.state != WeightSet.State.DRAFT:
        raise ConflictError(f"{weight_set} is {weight_set.state} already: only a draft can be activated.")
    numbers = as_weights(weight_set)
    if not any(numbers.weight.values()):
        raise InvalidError(f"All weights of {weight_set} are zero: every customer would score 0.")


def start_rescore(run_id: int) -> None:
    """Sends the run to a worker. Where the message is lost, the sweep of unfinished runs sends it again."""
    current_app.send_task(RESCORE_TASK, args=[run_id], queue="batch")


def merged(weights: Weights, *, changes: Mapping[str, Any], monetary_norm: float | None) -> Weights:
    """`weights` with some of its numbers replaced: `changes` is event type → {"weight", "norm"}, each optional."""
    return Weights(
        weight={name: changes.get(name, {}).get("weight", value) for name, value in weights.weight.items()},
        norm={name: changes.get(name, {}).get("norm", value) for name, value in weights.norm.items()},
        monetary_norm=weights.monetary_norm if monetary_norm is None else monetary_norm,
    )
