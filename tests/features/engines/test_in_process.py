"""The in-process engine, the readable reference, on logs small enough to count by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from featurehub.lib.clock import microseconds
from features.engines import in_process
from features.formulas.activity import LARGEST, NEVER
from tests.factories import new_event

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
OLDEST = AS_OF - timedelta(days=30)
TICK = timedelta(microseconds=1)


def activity_of(*events: dict[str, Any], window_days: int = 30) -> dict[str, Any]:
    """Return the activity at AS_OF of a customer with these events, each an hour before unless it says otherwise."""
    made = [new_event(**{"timestamp": AS_OF - timedelta(hours=1), **event}) for event in events]
    return in_process.aggregate(made, customer_id="c1", as_of=AS_OF, window_days=window_days).to_records()[0]


def purchase(amount: float | None = None, **fields: Any) -> dict[str, Any]:
    return {"event_type": "purchase", "metadata": {} if amount is None else {"amount": amount}, **fields}


def test_no_events_are_no_activity() -> None:
    activity = activity_of()
    assert activity.pop("last_purchase_us") == activity.pop("first_event_us") == NEVER
    assert set(activity.values()) == {0}


@pytest.mark.parametrize(
    ("timestamp", "counted"),
    [
        (OLDEST - TICK, 0),
        (OLDEST, 1),
        (OLDEST + TICK, 1),
        (AS_OF - TICK, 1),
        (AS_OF, 1),
        (AS_OF + TICK, 0),
        # The same moments in another offset: a window is bounded by moments, not by dates.
        (OLDEST.astimezone(tz=None), 1),
    ],
)
def test_the_window_holds_both_its_ends(timestamp: datetime, counted: int) -> None:
    assert activity_of({"timestamp": timestamp})["page_view"] == counted


def test_the_window_is_as_long_as_asked() -> None:
    event = {"timestamp": AS_OF - timedelta(days=7)}
    assert activity_of(event, window_days=7)["page_view"] == 1
    assert activity_of(event, window_days=6)["page_view"] == 0


def test_the_same_id_and_timestamp_count_once_and_the_first_of_them_counts() -> None:
    activity = activity_of(purchase(10, event_id="e"), purchase(20, event_id="e"))
    assert (activity["purchase"], activity["purchase_amount"]) == (1, 10)


def test_the_same_id_at_another_moment_counts_again() -> None:
    assert activity_of({"event_id": "e"}, {"event_id": "e", "timestamp": AS_OF})["page_view"] == 2


def test_events_without_an_id_all_count() -> None:
    assert activity_of({"event_id": None}, {"event_id": None})["page_view"] == 2


def test_only_amounts_of_purchases_are_added_up() -> None:
    activity = activity_of(purchase(1), purchase(), {"event_type": "login", "metadata": {"amount": 5}})
    assert activity["purchase_amount"] == 1


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        # Added as decimals: no rounding error of 4e-17, in any order.
        ([0.1, 0.2], 0.3),
        ([0.1] * 10, 1.0),
        ([1e16, 1.0, 1.0], 1e16 + 2),
        ([5e-324, 5e-324], 1e-323),
        ([1e308, 5e-324], 1e308),
        ([LARGEST], LARGEST),
        # A sum beyond a double is not infinite.
        ([LARGEST, LARGEST], LARGEST),
        ([1e308] * 3, LARGEST),
    ],
)
def test_amounts_are_added_exactly(amounts: list[float], total: float) -> None:
    assert activity_of(*(purchase(amount) for amount in amounts))["purchase_amount"] == total
    assert activity_of(*(purchase(amount) for amount in reversed(amounts)))["purchase_amount"] == total


def test_the_last_purchase_is_that_of_the_window() -> None:
    activity = activity_of(purchase(timestamp=OLDEST), purchase(timestamp=OLDEST - TICK), {"timestamp": AS_OF})
    assert activity["last_purchase_us"] == activity["first_event_us"] == microseconds(OLDEST)


def test_a_session_lasts_from_its_first_to_its_last_event_in_the_window() -> None:
    activity = activity_of(
        {"session_id": "long", "timestamp": OLDEST - TICK},
        {"session_id": "long", "timestamp": OLDEST},
        {"session_id": "long", "timestamp": OLDEST + timedelta(seconds=3), "event_type": "login"},
        {"session_id": "single", "timestamp": AS_OF},
        {"timestamp": AS_OF},
    )
    assert (activity["sessions"], activity["session_us"]) == (2, 3_000_000)


@pytest.mark.parametrize(
    ("categories", "top", "of"),
    [
        (["a", "a", "b"], 2, 3),
        (["a", "b"], 1, 2),
        (["a", None, None], 1, 1),
        # An empty category counts as a category; a missing one does not.
        (["", "", "a", None], 2, 3),
        ([None], 0, 0),
        ([f"c{number}" for number in range(200)], 1, 200),
    ],
)
def test_the_largest_category_is_counted_among_those_that_have_one(
    categories: list[str | None], top: int, of: int
) -> None:
    activity = activity_of(*({"metadata": {"category": name}} for name in categories))
    assert (activity["top_category_events"], activity["categorised_events"]) == (top, of)
