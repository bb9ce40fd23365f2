"""Backtests in the admin: the form's messages, the progress, and the charts."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from events.event_types import EVENT_TYPES
from features.models import Backtest, WeightSet
from features.tasks import run_backtest_task
from features.tuning import backtest
from tests.factories import ago, make_event, make_weight_set, store_events
from tests.features.admin.weights.test_model_admin import login

pytestmark = pytest.mark.django_db
LOGINS = {name: (1.0 if name == "login" else 0.0, 10.0) for name in EVENT_TYPES}


def start_url(weight_set: WeightSet) -> str:
    return reverse("admin:features_weightset_backtests", args=[weight_set.pk])


def result_url(held: Backtest) -> str:
    return reverse("admin:features_weightset_backtest", args=[held.pk])


def days(**changes: Any) -> dict[str, Any]:
    last = datetime.now(UTC).date() - timedelta(days=14)
    return {"first_day": last, "last_day": last, "every_days": 7, "horizon_days": 14, **changes}


def started() -> Backtest:
    return backtest.start_backtest(make_weight_set(weights=LOGINS), today=date(2999, 1, 1), by=None, **days())


def make_purchases_after_logins() -> None:
    """Store events by which logins predict purchases: every third customer logs in and then buys.

    The others have more page views, which the first weights count more.
    """
    for number in range(30):
        buys = number % 3 == 0
        types = ["login"] if buys else ["page_view"] * 5
        store_events(
            *[make_event(customer_id=f"c{number}", event_type=name, timestamp=ago(days=18)) for name in types],
            *([make_event(customer_id=f"c{number}", event_type="purchase", timestamp=ago(days=5))] if buys else []),
        )


def test_the_form_starts_a_backtest_and_shows_its_progress(client: Client) -> None:
    ann = login(client, "change")
    weight_set = make_weight_set()
    assert 'name="horizon_days"' in client.get(start_url(weight_set)).content.decode()
    answer = client.post(start_url(weight_set), days(), follow=True)
    held = Backtest.objects.get()
    assert (held.weight_set, held.created_by, held.total) == (weight_set, ann, 1)
    assert "0 of 1 days" in answer.content.decode()
    assert 'hx-trigger="every 1s"' in answer.content.decode()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"first_day": "someday"}, "Choose a day."),
        ({"last_day": "2999-01-01"}, "is not known yet: choose"),
        ({"last_day": "2000-01-01"}, "The last day is before the first."),
        ({"horizon_days": "0"}, "At least one day must follow"),
        ({"horizon_days": "1000"}, "less than or equal to 365"),
        ({"every_days": "-1"}, "Score a day at most once"),
        ({"first_day": "2000-01-01"}, "more than 60 days to score"),
    ],
)
def test_days_that_make_no_sense_are_explained_beside_their_field(
    client: Client, changes: dict[str, str], sentence: str
) -> None:
    login(client, "change")
    assert sentence in client.post(start_url(make_weight_set()), days(**changes)).content.decode()
    assert not Backtest.objects.exists()


def test_the_result_has_a_verdict_pictures_and_the_numbers(client: Client) -> None:
    login(client)
    make_purchases_after_logins()
    held = started()
    run_backtest_task(held.pk)
    page = client.get(result_url(held)).content.decode()
    assert "These weights predict purchases better" in page
    assert page.count("data-chart") == 2
    assert "A line at 1: 1×: the average" in page
    assert '<th scope="row">1 (highest)</th>' in page
    assert 'hx-trigger="every 1s"' not in page
    assert "3.00×" in page
    assert "AUC" in client.get(start_url(held.weight_set)).content.decode()


def test_days_without_data_are_explained_without_an_empty_picture(client: Client) -> None:
    login(client)
    held = started()
    run_backtest_task(held.pk)
    page = client.get(result_url(held)).content.decode()
    assert "No customer had an event in the window" in page
    assert "data-chart" not in page


def test_starting_needs_the_permission_to_change_sets(client: Client) -> None:
    login(client)
    weight_set = make_weight_set()
    assert client.get(start_url(weight_set)).status_code == 200
    assert client.post(start_url(weight_set), days()).status_code == 403
    assert not Backtest.objects.exists()
