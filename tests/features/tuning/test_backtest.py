"""Backtests on stored events: no data from after a scored day is used, and any worker can go on."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from events.event_types import EVENT_TYPES
from featurehub.lib.errors import InvalidError
from features import tasks
from features.engines import postgres
from features.models import Backtest, WeightSet
from features.tuning import backtest
from features.tuning.past import PastDay, number_of, past_day
from tests.factories import make_event, make_event_type, make_purchase, make_weight_set, store_events

pytestmark = pytest.mark.django_db
DAY = datetime(2026, 5, 10, tzinfo=UTC)
HORIZON = timedelta(days=14)
LOGINS = {name: (1.0 if name == "login" else 0.0, 10.0) for name in EVENT_TYPES}


def event(customer_id: str, event_type: str, *, days: float, **fields: Any) -> dict[str, Any]:
    """Return an event so many days before (above 0) or after DAY."""
    return make_event(customer_id=customer_id, event_type=event_type, timestamp=DAY - timedelta(days=days), **fields)


def start(weight_set: WeightSet | None = None, **days: Any) -> Backtest:
    values = {
        "first_day": DAY.date(), "last_day": DAY.date(), "every_days": 7, "horizon_days": 14,
        "today": date(2026, 8, 1), "by": None,
    }  # fmt: skip
    return backtest.start_backtest(weight_set or make_weight_set(weights=LOGINS), **values | days)


def run(started: Backtest) -> dict[str, Any]:
    tasks.run_backtest_task(started.pk)
    started.refresh_from_db()
    assert started.state == "done"
    assert started.result is not None
    return started.result


def test_counts_are_those_of_the_engine_and_buyers_those_who_buy_after() -> None:
    store_events(
        event("edge", "page_view", days=30), event("edge", "page_view", days=30.0001),
        event("edge", "purchase", days=0),
        event("late", "login", days=0), event("late", "purchase", days=-14), event("later", "login", days=1),
        event("later", "purchase", days=-14.0001), event("gone", "login", days=31), event("new", "login", days=-1),
    )  # fmt: skip
    columns = past_day(DAY, horizon=HORIZON)
    activity = postgres.aggregate(["edge", "late", "later"], as_of=DAY, window_days=settings.WINDOW_DAYS)
    places = [columns.customers.tolist().index(number_of(customer)) for customer in activity.customer_ids]
    assert len(columns) == 3
    for name in EVENT_TYPES:
        assert columns.counts[name][places].tolist() == activity.counts[name].tolist()
    assert dict(zip(columns.customers.tolist(), columns.bought.tolist(), strict=True)) == {
        number_of("edge"): False, number_of("late"): True, number_of("later"): False,
    }  # fmt: skip


def test_nothing_from_after_the_scored_day_enters_a_score() -> None:
    store_events(*[event(f"c{number}", "login", days=1 + number % 3) for number in range(20)])
    before = past_day(DAY, horizon=HORIZON)
    after_the_day = [
        event(f"c{number}", event_type, days=-0.00001 - number / 10)
        for number in range(20)
        for event_type in ("page_view", "login", "form_submit", "purchase")
    ]
    store_events(*after_the_day, event("newcomer", "login", days=-0.00001))
    after = past_day(DAY, horizon=HORIZON)
    assert after.customers.tolist() == before.customers.tolist()
    for name in EVENT_TYPES:
        assert after.counts[name].tolist() == before.counts[name].tolist()
    assert after.bought.all()
    assert not before.bought.any()


def test_weights_that_tell_buyers_apart_are_found_better() -> None:
    """Customers that log in buy; page views, which the first weights count, do not predict a purchase."""
    for number in range(40):
        logs_in = number % 4 == 0
        store_events(
            *[event(f"c{number}", "page_view", days=2 + views) for views in range(1 + number % 7)],
            *([event(f"c{number}", "login", days=3), event(f"c{number}", "purchase", days=-5)] if logs_in else []),
        )
    result = run(start())
    assert result["tried"]["auc"]["value"] == 1.0
    assert result["active"]["auc"]["value"] < 0.9
    assert result["auc_change"]["low"] > 0
    assert result["tried"]["deciles"][0]["lift"]["value"] == pytest.approx(4.0)
    assert result["days"] == [{"day": "2026-05-10", "customers": 40, "buyers": 10}]


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([], "No customer had an event"),
        ([event("c1", "login", days=1)], "There were no purchases"),
        ([event("c1", "login", days=1), event("c1", "purchase", days=-1)], "Every customer purchased"),
    ],
)
def test_days_that_cannot_be_judged_say_so(events: list[dict[str, Any]], sentence: str) -> None:
    store_events(*events)
    assert sentence in run(start())["problem"]


@pytest.mark.parametrize(
    ("days", "attr"),
    [
        ({"last_day": date(2026, 5, 9)}, "last_day"),
        ({"today": date(2026, 5, 23)}, "last_day"),
        ({"horizon_days": 0}, "horizon_days"),
        ({"every_days": 0}, "every_days"),
        ({"first_day": date(2020, 1, 1), "every_days": 1}, "every_days"),
    ],
)
def test_days_that_make_no_sense_are_refused(days: dict[str, Any], attr: str) -> None:
    with pytest.raises(InvalidError) as caught:
        start(**days)
    assert caught.value.attr == attr
    assert not Backtest.objects.exists()


def test_a_backtest_goes_on_after_a_worker_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    store_events(*[event(f"c{number}", "login", days=1) for number in range(4)], event("c0", "purchase", days=-1))
    started = start(last_day=DAY.date() + timedelta(days=14))
    assert backtest.score_next_day(started.pk) == 1
    assert not backtest.finish_backtest(started.pk)
    scored: list[datetime] = []

    def watched(as_of: datetime, *, horizon: timedelta) -> Any:
        scored.append(as_of)
        return past_day(as_of, horizon=horizon)

    monkeypatch.setattr(backtest, "past_day", watched)
    result = run(started)
    tasks.run_backtest_task(started.pk)
    assert scored == [DAY + timedelta(days=7), DAY + timedelta(days=14)]
    assert [row["day"] for row in result["days"]] == ["2026-05-10", "2026-05-17", "2026-05-24"]
    assert not started.days.exists()


def test_a_backtest_that_nobody_goes_on_with_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    started = start()
    sent: list[Any] = []
    monkeypatch.setattr(tasks.current_app, "send_task", lambda name, **options: sent.append(options["args"]))
    tasks.resume_backtests_task()
    with connection.cursor() as cursor:
        cursor.execute("update features_backtest set updated_at = now() - interval '1 hour'")
    tasks.resume_backtests_task()
    assert sent == [[started.pk]]


def test_the_numbers_tested_are_those_of_the_start() -> None:
    store_events(*[event(f"c{number}", "login", days=1) for number in range(4)], event("c0", "purchase", days=-1))
    weight_set = make_weight_set(weights=LOGINS)
    started = start(weight_set)
    weight_set.weights.update(weight=0.5)
    assert run(started)["tried"]["deciles"][0]["mean_score"] == pytest.approx(0.1)


def test_a_draft_with_a_backtest_can_be_deleted() -> None:
    started = start()
    started.weight_set.delete()
    assert not Backtest.objects.exists()


def test_the_purchase_of_a_scored_day_at_midnight_counts_as_known() -> None:
    store_events(make_purchase(customer_id="c1", timestamp=DAY))
    columns = past_day(DAY, horizon=HORIZON)
    assert (columns.counts["purchase"].tolist(), columns.bought.tolist()) == ([1], [False])


def test_further_types_are_counted_stored_and_scored() -> None:
    make_event_type("customers")  # a name that a stored day has for a column of its own
    assert "customers" not in past_day(DAY, horizon=HORIZON).counts
    store_events(event("c1", "customers", days=1), event("c2", "login", days=1), event("c1", "purchase", days=-1))
    columns = past_day(DAY, horizon=HORIZON)
    again = PastDay.from_bytes(columns.to_bytes())
    for day in (columns, again, PastDay.concatenated([columns, past_day(DAY - HORIZON, horizon=HORIZON)])):
        assert sorted(day.counts["customers"].tolist()) == [0, 1]
        assert len(day.customers) == 2
    draft = make_weight_set(weights=dict.fromkeys(EVENT_TYPES, (0.0, 10.0)))
    draft.weights.create(event_type="customers", weight=1.0, norm=1)
    assert run(start(draft))["tried"]["auc"]["value"] == 1.0
