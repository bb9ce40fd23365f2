"""AUC, lift and intervals against slow and plain computations, and against random scores."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from features.tuning.evaluation import (
    auc_components,
    auc_estimate,
    deciles,
    difference,
    evaluate_scores,
    share_estimate,
)

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=60)


@given(rows=ROWS)
def test_the_auc_is_the_share_of_pairs_ordered_rightly_with_ties_as_halves(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    bought = np.array([buys for _, buys in rows])
    assume(bought.any() and not bought.all())
    pairs = [(buyer, other) for buyer in scores[bought] for other in scores[~bought]]
    expected = np.mean([1.0 if buyer > other else 0.5 if buyer == other else 0.0 for buyer, other in pairs])
    components = auc_components(scores, bought=bought)
    estimate = auc_estimate(components, bought=bought, customers=np.arange(len(rows)))
    assert estimate.value == pytest.approx(expected)
    assert components[~bought].mean() == pytest.approx(expected)
    assert estimate.low <= estimate.value <= estimate.high


def test_the_interval_holds_the_true_auc_about_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        bought = random.random(300) < 0.3
        scores = random.random(300)
        estimate = auc_estimate(auc_components(scores, bought=bought), bought=bought, customers=np.arange(300))
        held += estimate.low <= 0.5 <= estimate.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_same_customers_on_more_days_do_not_make_the_interval_narrower() -> None:
    random = np.random.default_rng(7)
    scores, customers = random.random(200), np.arange(200)
    bought = random.random(200) < scores
    once = evaluate_scores(scores, bought=bought, customers=customers).auc
    often = evaluate_scores(np.tile(scores, 5), bought=np.tile(bought, 5), customers=np.tile(customers, 5)).auc
    assert often.value == pytest.approx(once.value)
    assert often.high - often.low == pytest.approx(once.high - once.low)


def test_a_set_that_orders_better_has_a_difference_above_zero() -> None:
    random = np.random.default_rng(7)
    truth = random.random(2_000)
    bought = random.random(2_000) < truth
    customers = np.arange(2_000)
    change = difference(random.random(2_000), truth, bought=bought, customers=customers)
    assert change.low > 0.2
    same = difference(truth, truth, bought=bought, customers=customers)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_deciles_hold_every_row_once_and_begin_with_the_highest_scores() -> None:
    scores = np.linspace(0.0, 1.0, 25)
    bought = scores > 0.6
    parts = deciles(scores, bought=bought, customers=np.arange(25))
    assert sum(part.rows for part in parts) == 25
    assert [part.mean_score for part in parts] == sorted((part.mean_score for part in parts), reverse=True)
    assert parts[0].lift.value == pytest.approx(25 / 10)
    assert parts[-1].rate.value == 0.0
    assert parts[-1].rate.high > 0.0


def test_wilsons_interval_of_half_of_a_hundred_is_the_published_one() -> None:
    estimate = share_estimate(50, of=100)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.4038, 0.5962)
