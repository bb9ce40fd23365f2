"""The preview of other weights: figures against a slow and plain computation, and none without customers."""

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from featurehub.lib.clock import microseconds
from features.formulas.activity import NEVER
from features.formulas.behavioral import Weights
from features.tuning import sample as samples
from features.tuning.sample import NO_CATEGORY, Sample
from features.tuning.score_preview import ScorePreview, preview_scores
from features.tuning.statistics import rank_correlation
from tests.factories import ago, first_weights, make_customer, make_purchase

COUNTS = st.lists(st.tuples(*[st.integers(0, 150)] * 6), min_size=1, max_size=40)


def make_sample(*counts: tuple[int, ...], **fields: Any) -> Sample:
    """Return a sample of customers c0, c1, … with these counts in the order of EVENT_TYPES."""
    size = len(counts)
    columns = np.array(counts, dtype=np.int64).reshape(size, len(EVENT_TYPES))
    values: dict[str, Any] = {
        "taken_at": ago(),
        "customers": size,
        "inactive": 0,
        "customer_ids": [f"c{number}" for number in range(size)],
        "counts": {name: columns[:, number] for number, name in enumerate(EVENT_TYPES)},
        "purchase_amount": np.zeros(size),
        "last_purchase_us": np.full(size, NEVER),
        "categories": [NO_CATEGORY] * size,
    }
    return Sample(**values | fields)


def weights(norm: float = 10.0, **weight: float) -> Weights:
    return Weights(
        weight={name: weight.get(name, 0.0) for name in EVENT_TYPES},
        norm=dict.fromkeys(EVENT_TYPES, norm),
        monetary_norm=1000.0,
    )


def previewed(sample: Sample, *, tried: Weights, active: Weights | None = None, threshold: float = 0.5) -> ScorePreview:
    figures = preview_scores(sample, active=active or first_weights(), tried=tried, threshold=threshold)
    assert figures is not None
    return figures


def plain_score(counts: tuple[int, ...], numbers: Weights) -> float:
    parts = [
        numbers.weight[name] * min(count / numbers.norm[name], 1.0)
        for name, count in zip(EVENT_TYPES, counts, strict=True)
    ]
    return min(1.0, reduce(add, parts))


@given(counts=COUNTS, threshold=st.floats(0.01, 0.99))
def test_the_figures_are_those_of_scoring_each_customer_by_hand(
    counts: list[tuple[int, ...]], threshold: float
) -> None:
    tried = weights(norm=60.0, page_view=0.9, purchase=0.4)
    figures = previewed(make_sample(*counts), tried=tried, threshold=threshold)
    old = [plain_score(row, first_weights()) for row in counts]
    new = [plain_score(row, tried) for row in counts]
    assert figures.before.mean == pytest.approx(np.mean(old))
    assert figures.after.mean == pytest.approx(np.mean(new))
    pairs = list(zip(old, new, strict=True))
    assert figures.crossed_up == sum(before < threshold <= after for before, after in pairs)
    assert figures.crossed_down == sum(after < threshold <= before for before, after in pairs)
    assert sum(figures.after.histogram) == len(counts)
    largest = sorted((abs(after - before) for before, after in pairs), reverse=True)[: len(figures.movers)]
    assert [abs(mover.change) for mover in figures.movers] == pytest.approx(largest)
    for mover in figures.movers:
        total = sum(reason.change for reason in mover.reasons)
        assert mover.clamp_hides or total == pytest.approx(mover.change)


def test_the_share_cut_at_one_is_counted_before_the_clamp() -> None:
    figures = previewed(
        make_sample((10, 0, 0, 0, 0, 0), (10, 10, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)),
        tried=weights(page_view=1.0, email_open=0.5),
    )
    assert figures.before.clamped == 0.0
    assert figures.after.clamped == pytest.approx(1 / 3)


def test_the_same_weights_move_nobody() -> None:
    figures = previewed(make_sample((10, 3, 2, 1, 0, 4), (1, 0, 0, 0, 0, 0)), tried=first_weights())
    assert (figures.movers, figures.unchanged, figures.crossed_up) == ([], 2, 0)
    assert figures.rank_correlation == pytest.approx(1.0)


def test_segments_hold_every_customer_once() -> None:
    moment = ago()
    sample = make_sample(
        *[(number, 0, 0, 0, 0, 0) for number in range(12)],
        taken_at=moment,
        categories=[f"k{number}" for number in range(12)],
        last_purchase_us=np.array([microseconds(ago(days=1)), microseconds(ago(days=9)), *[NEVER] * 10]),
    )
    figures = previewed(sample, tried=weights(page_view=1.0))
    assert sum(row.customers for row in figures.by_category) == 12
    assert figures.by_category[-1].name == "4 other categories"
    assert [(row.name, row.customers) for row in figures.by_recency] == [
        ("bought within 7 days", 1),
        ("bought earlier in the window", 1),
        ("no purchase in the window", 10),
    ]


def test_without_customers_there_are_no_figures() -> None:
    assert preview_scores(make_sample(), active=first_weights(), tried=first_weights(), threshold=0.5) is None


def test_ties_share_their_mean_rank() -> None:
    # Ranks 2.5, 1, 2.5, 4 and 2, 1, 3, 4: 4.5 / √(4.5 · 5).
    first, second = np.array([0.5, 0.1, 0.5, 0.9]), np.array([20.0, 10.0, 30.0, 40.0])
    assert rank_correlation(first, second) == pytest.approx(3 / 10**0.5)


def test_the_rank_correlation_of_opposite_orders_is_minus_one_and_of_a_constant_there_is_none() -> None:
    rising = np.arange(5.0)
    assert rank_correlation(rising, rising[::-1]) == pytest.approx(-1.0)
    assert rank_correlation(rising, np.zeros(5)) is None
    assert rank_correlation(rising[:0], rising[:0]) is None


@pytest.mark.django_db
def test_the_sample_is_the_stored_activity_of_the_active_customers() -> None:
    make_customer("c1", page_view=3, login=1)
    make_customer(
        "c2",
        events=[
            make_purchase(amount=20.0, category="jazz"),
            make_purchase(amount=1.5, category="rock"),
            make_purchase(category="jazz", amount=0),
        ],
    )
    make_customer("c3", events=[make_purchase(timestamp=ago(days=40))])

    sample = samples.load_sample()

    by_id = {customer_id: place for place, customer_id in enumerate(sample.customer_ids)}
    assert (set(by_id), sample.customers, sample.inactive) == ({"c1", "c2"}, 2, 1)
    assert sample.counts["page_view"][by_id["c1"]] == 3
    assert sample.purchase_amount[by_id["c2"]] == 21.5
    assert (sample.categories[by_id["c1"]], sample.categories[by_id["c2"]]) == (NO_CATEGORY, "jazz")


@pytest.mark.django_db
def test_a_larger_number_of_customers_is_sampled_the_same_way_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "CUSTOMERS_IN_SAMPLE", 3)
    for number in range(6):
        make_customer(f"c{number}", login=1)
    first, second = samples.load_sample(), samples.load_sample()
    assert (len(first), first.customers) == (3, 6)
    assert sorted(first.customer_ids) == sorted(second.customer_ids)


@pytest.mark.django_db
def test_a_preview_asks_the_database_nothing_once_the_sample_is_loaded() -> None:
    make_customer("c1", login=1)
    samples.activity_sample.get(younger_than=0)
    with CaptureQueriesContext(connection) as queries:
        previewed(samples.activity_sample.get(), tried=weights(login=1.0))
    assert len(queries) == 0
