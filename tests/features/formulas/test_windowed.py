"""Each kind of windowed feature on logs small enough to count by hand; the other engines are compared with this one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from featurehub.lib.clock import microseconds
from features.engines import in_process
from features.formulas.activity import LARGEST, MICROSECONDS_PER_DAY, NEVER
from features.formulas.windowed import WindowedFeature, decayed
from tests.factories import new_event

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def feature(kind: str, **fields: Any) -> WindowedFeature:
    """Return a feature of `k` over a week, or of no key for a count."""
    key = None if kind == "count" else "k"
    return WindowedFeature(**{"name": "x", "kind": kind, "metadata_key": key, "window_hours": 7 * 24, **fields})


def event(value: Any = None, *, days: float = 1, **fields: Any) -> dict[str, Any]:
    """Return a page view so many days before AS_OF, with `k` in its metadata where a value is given."""
    metadata = {} if value is None else {"k": value}
    return {"timestamp": AS_OF - timedelta(days=days), "metadata": metadata, **fields}


def computed(asked: WindowedFeature, *events: dict[str, Any], as_of: datetime = AS_OF) -> tuple[float, int, int]:
    """Return the feature's value at `as_of` of a customer with these events, and the first and last moment counted."""
    log = [new_event(**fields) for fields in events]
    activity = in_process.aggregate(log, customer_id="c1", as_of=as_of, window_days=30, features=[asked])
    column = activity.windowed["x"]
    return float(column.value[0]), int(column.first_us[0]), int(column.last_us[0])


def value_of(asked: WindowedFeature, *events: dict[str, Any], as_of: datetime = AS_OF) -> float:
    return computed(asked, *events, as_of=as_of)[0]


# --- Matching events --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["count", "sum", "mean", "max", "last", "distinct"])
def test_without_a_matching_event_every_kind_is_zero_and_has_no_moments(kind: str) -> None:
    assert computed(feature(kind), event(5, days=8)) == (0.0, NEVER, NEVER)


@pytest.mark.parametrize("hours", [1, 7, 36, 7 * 24])
@pytest.mark.parametrize(("past_the_end", "counted"), [(TICK, 0), (timedelta(0), 1)])
def test_the_window_holds_both_its_ends(hours: int, past_the_end: timedelta, counted: int) -> None:
    asked = feature("count", window_hours=hours)
    assert value_of(asked, event() | {"timestamp": AS_OF - timedelta(hours=hours) - past_the_end}) == counted
    assert value_of(asked, event() | {"timestamp": AS_OF + past_the_end}) == counted


def test_the_window_may_be_wider_than_that_of_the_formulas() -> None:
    assert value_of(feature("count", window_hours=90 * 24), event(days=40), event(days=90), event(days=91)) == 2


def test_the_moments_are_those_of_the_first_and_last_matching_event() -> None:
    _, first, last = computed(feature("sum"), event(days=7), event(1, days=5), event(2, days=3), event("text", days=1))
    assert first == microseconds(AS_OF - timedelta(days=5))
    assert last == microseconds(AS_OF - timedelta(days=3))


def test_only_events_of_the_type_count() -> None:
    assert value_of(feature("count", event_type="login"), event(event_type="login"), event()) == 1


def test_only_events_of_the_category_count_and_an_empty_one_is_a_category() -> None:
    log = [
        event(metadata={"category": ""}),
        event(metadata={"category": "a"}),
        event(metadata={"category": "A"}),
        event(),
    ]
    assert value_of(feature("count", category="a"), *log) == 1
    assert value_of(feature("count", category=""), *log) == 1
    assert value_of(feature("count"), *log) == 4


def test_an_event_that_was_sent_twice_counts_once() -> None:
    assert value_of(feature("sum"), event(5, event_id="e"), event(5, event_id="e")) == 5


# --- Aggregation of their values --------------------------------------------------------------------------------------
NO_NUMBERS = ("7", "", True, None, [7], {"a": 7})


@pytest.mark.parametrize(("kind", "value"), [("sum", 5.5), ("mean", 2.75), ("max", 4), ("last", 1.5)])
def test_numbers_are_looked_at_and_whatever_else_a_key_has_is_passed_over(kind: str, value: float) -> None:
    others = [event(metadata={"k": other}, days=0.5) for other in NO_NUMBERS]
    assert value_of(feature(kind), event(4, days=2), *others, event(1.5, days=1)) == value


def test_numbers_may_be_negative() -> None:
    assert value_of(feature("max"), event(-2), event(-3)) == -2
    assert value_of(feature("sum"), event(-2), event(-3)) == -5


def test_sums_and_means_are_of_exact_decimals() -> None:
    assert value_of(feature("sum"), event(0.1), event(0.2)) == 0.3
    assert value_of(feature("mean"), event(1e16), event(1), event(-1e16)) == pytest.approx(1 / 3)


def test_no_value_is_infinite() -> None:
    assert value_of(feature("sum"), event(LARGEST), event(LARGEST)) == LARGEST
    assert value_of(feature("sum"), event(-LARGEST), event(-LARGEST)) == -LARGEST
    assert value_of(feature("mean"), event(1e308), event(1e308), event(1e308)) == 1e308


def test_the_last_of_two_at_one_moment_is_the_larger_one() -> None:
    assert value_of(feature("last"), event(9, days=2), event(1), event(3), event(2)) == 3


def test_different_strings_and_numbers_are_counted() -> None:
    log = [event(value) for value in (1, 1.0, "1", "", "a", "A", "ä", "a\u0308", 2**62, 2**62 + 1, 0.0, -0.0)]
    assert value_of(feature("distinct"), *log, event(metadata={"k": True}), event(metadata={"k": [1]})) == 10


def test_amount_and_category_are_keys_too() -> None:
    log = [event(metadata={"amount": 2, "category": "a"}), event(metadata={"amount": 3, "category": "a"})]
    assert value_of(feature("sum", metadata_key="amount"), *log) == 5
    assert value_of(feature("distinct", metadata_key="amount"), *log) == 2
    assert value_of(feature("distinct", metadata_key="category"), *log) == 1
    assert value_of(feature("max", metadata_key="category"), *log) == 0


def test_a_key_with_dots_is_one_key() -> None:
    assert value_of(feature("sum", metadata_key="a.b"), event(metadata={"a.b": 2, "a": {"b": 5}})) == 2


# --- Half-lives -------------------------------------------------------------------------------------------------------
def test_with_a_half_life_an_event_that_old_counts_half() -> None:
    log = [event(4, days=0), event(8, days=2), event(16, days=4)]
    assert value_of(feature("count", half_life_days=2), *log) == 1.75
    assert value_of(feature("sum", half_life_days=2), *log) == 12
    assert value_of(feature("mean", half_life_days=2), *log) == pytest.approx(12 / 1.75)


@pytest.mark.parametrize("kind", ["count", "sum"])
def test_what_time_makes_of_a_decaying_value_is_what_the_events_give_then(kind: str) -> None:
    asked = feature(kind, half_life_days=1.5)
    log = [event(4, days=1), event(-0.5, days=2), event(8, days=2.5)]
    held, later = value_of(asked, *log), AS_OF + timedelta(days=3, microseconds=1)
    later_values = decayed(asked, np.array([held, 0.0]), elapsed_us=np.array([3 * MICROSECONDS_PER_DAY + 1, 5]))
    assert later_values[0] == pytest.approx(value_of(asked, *log, as_of=later), rel=1e-12)
    assert later_values[1] == 0
    assert asked.decays


def test_a_mean_with_a_half_life_stays_as_it_is_until_an_event_comes_or_leaves() -> None:
    asked = feature("mean", half_life_days=1.5)
    log = [event(4, days=1), event(8, days=2.5)]
    assert value_of(asked, *log, as_of=AS_OF + timedelta(days=3)) == pytest.approx(value_of(asked, *log), rel=1e-12)
    assert not asked.decays


@pytest.mark.parametrize("half_life_days", [5e-324, 1e-9, LARGEST])
def test_any_half_life_gives_a_finite_value(half_life_days: float) -> None:
    for kind in ("count", "sum", "mean"):
        value = value_of(feature(kind, half_life_days=half_life_days), event(LARGEST, days=0), event(5e-324, days=6))
        assert np.isfinite(value)
