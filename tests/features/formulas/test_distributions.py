"""Distributions in little memory, the population stability index, and Kolmogorov and Smirnov's distance."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.formulas.distributions import (
    STEPS,
    Distribution,
    largest_distance,
    largest_distance_by_chance,
    parts_of_range,
    stability_index,
    stability_index_by_chance,
)

columns = arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]))


def index_of(reference: Distribution, other: Distribution) -> float:
    return stability_index(*parts_of_range(reference, other))


# --- Known numbers ----------------------------------------------------------------------------------------------------


def test_the_index_of_a_worked_example_has_its_published_parts() -> None:
    # (0.2 − 0.1) ln 2 + (0.3 − 0.4) ln 0.75 + 0: 0.0693 + 0.0288 = 0.0981.
    assert stability_index(np.array([0.1, 0.4, 0.5]), np.array([0.2, 0.3, 0.5])) == pytest.approx(0.098083, abs=1e-6)
    # Deciles of which the first doubles at the cost of the last: 0.1 ln 2 + (0.0001 − 0.1) ln 0.001.
    tenths = np.full(10, 0.1)
    assert stability_index(tenths, np.array([0.2, *tenths[:8], 0.0])) == pytest.approx(0.759399, abs=1e-6)


def test_the_index_of_two_normal_distributions_is_the_known_one() -> None:
    # Of N(0, 1) and N(0.5, 1) in the deciles of the first; without parts it would be 0.5² = 0.25.
    ends = scipy.stats.norm.ppf(np.arange(1, 10) / 10)
    shares = np.diff(np.concatenate([[0.0], scipy.stats.norm.cdf(ends - 0.5), [1.0]]))
    known = float(np.sum((shares - 0.1) * np.log(shares / 0.1)))
    draw = np.random.default_rng(1)
    found = index_of(*(Distribution.of(draw.normal(mean, 1, 200_000)) for mean in (0.0, 0.5)))
    assert known == pytest.approx(0.23775, abs=1e-5)
    assert found == pytest.approx(known, abs=0.01)


@given(columns, columns)
@example(np.arange(0.0, 400.0), np.arange(0.5, 400.0, 1.003))
def test_the_distance_is_that_of_scipy(first: np.ndarray, second: np.ndarray) -> None:  # type: ignore[type-arg]
    found = largest_distance(Distribution.of(first), Distribution.of(second))
    assert found == pytest.approx(scipy.stats.ks_2samp(first, second).statistic, abs=2 / STEPS + 1e-9)


def test_chance_explains_what_the_tables_say() -> None:
    # Smirnov's 1.949 √((n + m) / nm), and χ² of 9 degrees of freedom at 0.999: 27.877.
    assert largest_distance_by_chance(sizes=(200, 200)) == pytest.approx(1.949 * 0.1, abs=1e-4)
    assert stability_index_by_chance(10, sizes=(1_000, 1_000)) == pytest.approx(0.055754, abs=1e-5)


# --- Distributions ----------------------------------------------------------------------------------------------------


@given(columns)
def test_a_distribution_is_exact_at_its_edges_and_its_quantiles_are_values(column: np.ndarray) -> None:  # type: ignore[type-arg]
    found = Distribution.of(column)
    assert len(found.edges) <= STEPS + 1
    for edge, share in zip(found.edges, found.shares, strict=True):
        assert share == np.mean(column <= edge)
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    assert found.quantiles(shares).tolist() == np.quantile(column, shares, method="inverted_cdf").tolist()


@given(st.lists(columns, min_size=1, max_size=4))
def test_parts_together_are_the_distribution_of_all_values(parts: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    together = Distribution.together([Distribution.of(part) for part in parts])
    everything = np.concatenate(parts)
    assert together.count == len(everything)
    assert largest_distance(together, Distribution.of(everything)) == pytest.approx(0, abs=2 / STEPS)


@given(columns)
def test_nothing_is_apart_from_itself(column: np.ndarray) -> None:  # type: ignore[type-arg]
    same = Distribution.of(column)
    assert index_of(same, same) == 0
    assert largest_distance(same, same) == 0


def test_missing_customers_are_a_part_of_their_own() -> None:
    full = Distribution.of(np.arange(100.0))
    half = Distribution.of(np.concatenate([np.arange(50.0), np.full(50, np.nan)]))
    nothing = Distribution.of(np.full(100, np.nan))
    assert (half.missing_share, nothing.missing_share) == (0.5, 1.0)
    for one, other in ((full, half), (half, full), (full, nothing), (nothing, full)):
        assert index_of(one, other) > 0.25
    assert index_of(nothing, nothing) == 0
    assert largest_distance(full, nothing) is None


def test_many_equal_values_make_few_parts() -> None:
    zeros = Distribution.of(np.concatenate([np.zeros(900), np.arange(1.0, 101.0)]))
    more = Distribution.of(np.concatenate([np.zeros(800), np.arange(1.0, 201.0)]))
    reference, other = parts_of_range(zeros, more)
    assert reference == pytest.approx([0.9, 0.1, 0.0])
    assert other == pytest.approx([0.8, 0.2, 0.0])
