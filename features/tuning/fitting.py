"""Fit weights to later purchases and propose them, with their evidence, where they are better than the active ones.

Logistic regression with weights ≥ 0 on the normalised counts of training days; the fitted weights are scaled to the
active set's sum, so that the scores keep their magnitude. They are judged on held-out days that begin after the last
purchase that training could see.
"""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import scipy
from django.conf import settings
from django.db import transaction

from features.formulas.activity import Floats
from features.formulas.behavioral import Weights, normalised
from features.lifecycle import weight_set_steps
from features.lifecycle.steps import UNDER_WAY, WeightSetState
from features.models import Backtest, Fitting, WeightSet
from features.registry.weight_sets import active_set, as_weights
from features.tuning import backtest
from features.tuning.backtest import EVERY_DAYS, HORIZON_DAYS
from features.tuning.past import PastDay, past_day

TRAINING_DAYS = 8
HELD_OUT_DAYS = 3
# With fewer buyers, or fewer others, the result would be chance.
LEAST_BUYERS = {"training": 100, "held-out": 30}
OPEN = (
    WeightSetState.DRAFT, *UNDER_WAY
)  # fmt: skip
FITTING_TASK = "features.fit_weights"
# Keeps the fit finite where an event type separates buyers completely.
PENALTY = 1e-4
DECIMALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Fitted weights and their `result` on the held-out days, in the form of a backtest's result."""

    weights: Weights
    held_out: list[date]
    customers: int
    result: dict[str, Any]

    @property
    def gain(self) -> float:
        return float(self.result["auc_change"]["value"])


class TooLittleDataError(Exception):
    """There is nothing to propose; the message says why in a sentence."""


def fit_and_propose(*, version: str, today: date) -> Fitting:
    """Fit weights, judge them, file a proposal where they are better, and store the outcome in words."""
    active = active_set(version)
    if (reason := obstacle_to_proposal(version, active=active)) is not None:
        return Fitting.objects.create(outcome=reason)
    try:
        fitted = fit(as_weights(active), today=today)
    except TooLittleDataError as reason:
        return Fitting.objects.create(outcome=f"{reason} Nothing is proposed.")
    gain = f"AUC {fitted.gain:+.4f} on held-out days"
    if fitted.result["auc_change"]["low"] <= 0:
        outcome = f"The fitted weights are no better than the active ones beyond chance: {gain}. Nothing is proposed."
        return Fitting.objects.create(outcome=outcome, numbers=backtest.weights_as_json(fitted.weights))
    return file_proposal(fitted, active=active, today=today, gain=gain)


def obstacle_to_proposal(version: str, *, active: WeightSet) -> str | None:
    """Return why nothing may be proposed for a behavioral version in place of `active`; None where it may."""
    waiting = WeightSet.objects.filter(origin=WeightSet.Origin.PROPOSAL, state__in=OPEN, version__number=version)
    if (open_one := waiting.first()) is not None:
        return f"{open_one} still waits for a decision: nothing new is proposed."
    if not WeightSet.objects.filter(pk=active.pk, state=WeightSetState.ACTIVE).exists():
        return f"{active}, which was to be improved, is not active any more: nothing is proposed."
    return None


def file_proposal(fitted: Fitted, *, active: WeightSet, today: date, gain: str) -> Fitting:
    """File the proposal with its backtest, and activate it where the settings and the guardrails allow.

    A fit takes minutes: nothing is filed where another proposal waits by now, or other weights became active.
    """
    obstacle = obstacle_to_activation(fitted, active=as_weights(active))
    verdict = f"Not activated by itself: {obstacle}" if obstacle else "Inside the guardrails."
    with transaction.atomic():
        version = weight_set_steps.version_of_new_sets().number  # locks all versions: nobody else files meanwhile
        if (reason := obstacle_to_proposal(version, active=active)) is not None:
            return Fitting.objects.create(outcome=reason)
        proposal = weight_set_steps.draft_weight_set(
            version=version, name=f"Fitted to purchases {today}",
            numbers=fitted.weights, by=None,
            reason=f"{gain}, {fitted.customers} customers, against {active}", origin=WeightSet.Origin.PROPOSAL,
        )  # fmt: skip
        Backtest.objects.create(
            weight_set=proposal, against=active, numbers=backtest.weights_as_json(fitted.weights),
            first_day=fitted.held_out[0], last_day=fitted.held_out[-1], every_days=EVERY_DAYS,
            horizon_days=HORIZON_DAYS, state=Backtest.State.DONE, total=HELD_OUT_DAYS, done=HELD_OUT_DAYS,
            result=fitted.result,
        )  # fmt: skip
        weight_set_steps.propose(proposal.pk, by=None, reason=f"{gain}. {verdict}")
        if not obstacle:
            weight_set_steps.activate(
                proposal.pk, by=None, reason=f"By itself, as the settings allow. {verdict} {gain}."
            )
        outcome = f"{proposal} is {'active' if not obstacle else 'proposed'}: {gain}. {verdict}"
        numbers = backtest.weights_as_json(fitted.weights)
        return Fitting.objects.create(outcome=outcome, weight_set=proposal, numbers=numbers)


def obstacle_to_activation(fitted: Fitted, *, active: Weights) -> str | None:
    """Return why FeatureHub may not activate these weights by itself; None where it may."""
    names = fitted.weights.weight.keys() | active.weight.keys()
    largest = max(abs(fitted.weights.weight_of(name) - active.weight_of(name)) for name in names)
    if not settings.AUTO_ACTIVATION:
        return "auto-activation is off."
    if settings.TWO_PERSON_APPROVAL:
        return "approval takes two persons."
    if largest > settings.AUTO_ACTIVATION_LARGEST_CHANGE:
        return f"a weight changes by {largest:.4f}, more than {settings.AUTO_ACTIVATION_LARGEST_CHANGE}."
    if fitted.gain < settings.AUTO_ACTIVATION_LEAST_GAIN:
        return f"the gain is less than {settings.AUTO_ACTIVATION_LEAST_GAIN}."
    if fitted.customers < settings.AUTO_ACTIVATION_LEAST_CUSTOMERS:
        return f"fewer than {settings.AUTO_ACTIVATION_LEAST_CUSTOMERS} customers stand behind it."
    return None


def fit(active: Weights, *, today: date) -> Fitted:
    """Return weights from the training days, judged on the held-out ones. Raise TooLittleDataError."""
    training, held_out = days_before(today)
    columns = PastDay.concatenated([past(day) for day in training])
    check_enough(columns, part="training")
    judged = [(day, past(day)) for day in held_out]
    together = PastDay.concatenated([day for _, day in judged])
    check_enough(together, part="held-out")
    weights = fitted_weights(columns, active=active)
    return Fitted(
        weights=weights,
        held_out=held_out,
        customers=len(np.unique(together.customers)),
        result=backtest.judge(judged, active=active, tried=weights),
    )


def days_before(today: date) -> tuple[list[date], list[date]]:
    """Return the training and the held-out days, oldest first.

    All purchases that are looked for lie in the past; those of the training days lie before the held-out days.
    """
    last = today - timedelta(days=HORIZON_DAYS)
    held_out = [last - timedelta(days=EVERY_DAYS * number) for number in reversed(range(HELD_OUT_DAYS))]
    end = held_out[0] - timedelta(days=HORIZON_DAYS)
    return [end - timedelta(days=EVERY_DAYS * number) for number in reversed(range(TRAINING_DAYS))], held_out


def past(day: date) -> PastDay:
    return past_day(datetime.combine(day, time.min, tzinfo=UTC), horizon=timedelta(days=HORIZON_DAYS))


def check_enough(columns: PastDay, *, part: str) -> None:
    """Raise TooLittleDataError where there are too few buyers or too few others."""
    buyers, others = int(columns.bought.sum()), int((~columns.bought).sum())
    least = LEAST_BUYERS[part]
    if min(buyers, others) < least:
        raise TooLittleDataError(
            f"Too little data: of the scores on {part} days {buyers} were followed by a purchase and {others} "
            f"were not; at least {least} of each are needed."
        )


def fitted_weights(columns: PastDay, *, active: Weights) -> Weights:
    """Return the weights ≥ 0 that tell buyers apart best, scaled to the active set's sum, with its norms.

    Raises TooLittleDataError where no event type speaks for a purchase.
    """
    parts = normalised(columns.counts, weights=active)
    matrix = np.column_stack([*parts.values(), np.ones(len(columns))])
    bounds = [*[(0.0, None)] * len(parts), (None, None)]
    answer = scipy.optimize.minimize(
        loss, np.zeros(matrix.shape[1]), args=(matrix, columns.bought.astype(np.float64)), jac=True,
        method="L-BFGS-B", bounds=bounds,
    )  # fmt: skip
    found = answer.x[: len(parts)]
    if not answer.success or not found.any():
        raise TooLittleDataError("No event type told buyers from others on the training days.")
    scaled = np.round(found * math.fsum(active.weight.values()) / found.sum(), DECIMALS)
    return Weights(
        weight=dict(zip(parts, scaled.tolist(), strict=True)),
        norm=active.norm,
        monetary_norm=active.monetary_norm,
    )


def loss(parameters: Floats, matrix: Floats, bought: Floats) -> tuple[float, Floats]:
    """Return the mean logistic loss with a small penalty on the weights, not on the intercept, and its gradient."""
    margin = matrix @ parameters
    penalised = np.append(parameters[:-1], 0.0)
    value = float(np.mean(np.logaddexp(0.0, margin) - bought * margin) + PENALTY * np.sum(penalised**2))
    # The logistic function, written so that it does not overflow.
    gradient = matrix.T @ (0.5 * (1.0 + np.tanh(0.5 * margin)) - bought) / len(bought) + 2 * PENALTY * penalised
    return value, gradient
