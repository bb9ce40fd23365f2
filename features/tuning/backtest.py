"""Backtests: score customers on past days with a set and with the active one, and compare with later purchases.

One step scores one day and stores its columns, so that any worker can go on; the last step judges all days together.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from featurehub.lib.enqueue import enqueue
from featurehub.lib.errors import InvalidError
from features.formulas.activity import Floats
from features.formulas.behavioral import Weights, unclamped_score
from features.models import Backtest, BacktestDay, WeightSet
from features.registry.weight_sets import active_set, as_weights
from features.tuning import evaluation
from features.tuning.past import PastDay, past_day

BACKTEST_TASK = "features.backtest"
# Days from one scored day to the next, and days after each in which purchases are looked for, unless somebody chooses.
EVERY_DAYS = 7
HORIZON_DAYS = 14
MOST_DAYS = 60
BACKTEST_STALLED_AFTER = timedelta(seconds=120)


def start_backtest(
    weight_set: WeightSet, *, first_day: date, last_day: date, every_days: int, horizon_days: int, today: date,
    by: User | None,
) -> Backtest:  # fmt: skip
    """Start a backtest in a worker. Raise InvalidError for days that can't be judged yet, or are too many."""
    check_days(first_day, last_day=last_day, every_days=every_days, horizon_days=horizon_days, today=today)
    with transaction.atomic():
        backtest = Backtest.objects.create(
            weight_set=weight_set,
            against=active_set(weight_set.version.number),
            first_day=first_day,
            last_day=last_day,
            every_days=every_days,
            horizon_days=horizon_days,
            total=len(scored_days(first_day, last_day=last_day, every_days=every_days)),
            # A copy of the numbers that are tested: a draft may change later.
            numbers=weights_as_json(as_weights(weight_set)),
            created_by=by,
        )
        transaction.on_commit(partial(enqueue_backtest, backtest.pk))
    return backtest


def check_days(first_day: date, *, last_day: date, every_days: int, horizon_days: int, today: date) -> None:
    """Raise InvalidError, naming the wrong field, for days that can't be judged or are too many."""
    if horizon_days < 1:
        raise InvalidError("At least one day must follow a scored day.", attr="horizon_days")
    if every_days < 1:
        raise InvalidError("Score a day at most once: every 1 day or more.", attr="every_days")
    if last_day < first_day:
        raise InvalidError("The last day is before the first.", attr="last_day")
    if last_day + timedelta(days=horizon_days) > today:
        latest = today - timedelta(days=horizon_days)
        raise InvalidError(
            f"Who buys in the {horizon_days} days after {last_day} is not known yet: choose {latest} or earlier.",
            attr="last_day",
        )
    if len(scored_days(first_day, last_day=last_day, every_days=every_days)) > MOST_DAYS:
        raise InvalidError(f"That is more than {MOST_DAYS} days to score: leave more days between.", attr="every_days")


def scored_days(first_day: date, *, last_day: date, every_days: int) -> list[date]:
    """Return the days to score: the first, and every `every_days` until the last."""
    return [first_day + timedelta(days=number) for number in range(0, (last_day - first_day).days + 1, every_days)]


def enqueue_backtest(backtest_id: int) -> None:
    """Send the task of a backtest. Where the message is lost, the sweep of unfinished backtests sends it again."""
    enqueue(BACKTEST_TASK, backtest_id)


def score_next_day(backtest_id: int) -> int:
    """Score the first day that has no columns yet. Return 0 where there is none, or another worker is at it."""
    with transaction.atomic():
        backtest = (
            Backtest.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(pk=backtest_id, state=Backtest.State.RUNNING)
            .first()
        )
        if backtest is None:
            return 0
        scored = set(backtest.days.values_list("day", flat=True))
        wanted = scored_days(backtest.first_day, last_day=backtest.last_day, every_days=backtest.every_days)
        waiting = [day for day in wanted if day not in scored]
        if not waiting:
            return 0
        day = waiting[0]
        # As of the beginning of the day: events of that day or later are not known.
        as_of = datetime.combine(day, time.min, tzinfo=UTC)
        columns = past_day(as_of, horizon=timedelta(days=backtest.horizon_days))
        BacktestDay.objects.create(backtest=backtest, day=day, columns=columns.to_bytes())
        Backtest.objects.filter(pk=backtest_id).update(done=len(scored) + 1, updated_at=Now())
    return 1


def finish_backtest(backtest_id: int) -> bool:
    """Judge a backtest whose days are all scored. Return False where some are not."""
    with transaction.atomic():
        backtest = Backtest.objects.select_for_update().get(pk=backtest_id)
        if backtest.state != Backtest.State.RUNNING:
            return True
        if backtest.done < backtest.total:
            return False
        days = [(row.day, PastDay.from_bytes(bytes(row.columns))) for row in backtest.days.order_by("day")]
        backtest.result = judge(days, active=as_weights(backtest.against), tried=weights_from_json(backtest.numbers))
        backtest.state, backtest.updated_at = Backtest.State.DONE, Now()
        backtest.save(update_fields=["result", "state", "updated_at"])
        backtest.days.all().delete()
    return True


def stalled_backtests() -> list[int]:
    """Return the running backtests that no worker has gone on with for a while."""
    waiting = Backtest.objects.filter(state=Backtest.State.RUNNING, updated_at__lt=Now() - BACKTEST_STALLED_AFTER)
    return list(waiting.values_list("pk", flat=True))


def judge(days: list[tuple[date, PastDay]], *, active: Weights, tried: Weights) -> dict[str, Any]:
    """Return the result as it is stored; its `problem` is a sentence that says why there is nothing to judge."""
    rows = [
        {"day": day.isoformat(), "customers": len(columns), "buyers": int(columns.bought.sum())}
        for day, columns in days
    ]
    together = PastDay.concatenated([columns for _, columns in days])
    problem = problem_of(together)
    if problem is not None:
        return {"days": rows, "problem": problem}
    before, after = scores_of(together, weights=active), scores_of(together, weights=tried)
    bought, customers = together.bought, together.customers
    change = evaluation.difference(before, after, bought=bought, customers=customers)
    return {
        "days": rows,
        "rows": len(together),
        "buyers": int(together.bought.sum()),
        "active": evaluation.evaluation_as_json(evaluation.evaluate_scores(before, bought=bought, customers=customers)),
        "tried": evaluation.evaluation_as_json(evaluation.evaluate_scores(after, bought=bought, customers=customers)),
        "auc_change": {"value": change.value, "low": change.low, "high": change.high},
    }


def problem_of(columns: PastDay) -> str | None:
    """Return a sentence that says why these days can't be judged; None where they can."""
    if not len(columns):
        return "No customer had an event in the window before any of these days. Choose days after your first events."
    if not columns.bought.any():
        return "There were no purchases after these days, so there is nothing to compare with. Choose other days."
    if columns.bought.all():
        return "Every customer purchased after these days, so there is nothing to predict."
    return None


def scores_of(columns: PastDay, *, weights: Weights) -> Floats:
    """Return the scores of all rows: n doubles in [0, 1]."""
    clamped: Floats = unclamped_score(columns.counts, weights=weights).clip(max=1.0)
    return clamped


def weights_as_json(weights: Weights) -> dict[str, Any]:
    """Return weights as a backtest stores them."""
    return {"weight": dict(weights.weight), "norm": dict(weights.norm), "monetary_norm": weights.monetary_norm}


def weights_from_json(numbers: dict[str, Any]) -> Weights:
    """Return the weights that `weights_as_json` was given."""
    return Weights(**numbers)
