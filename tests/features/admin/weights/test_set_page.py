"""A set's page and its list: the next button, the last backtest, the timeline behind History, and fits on demand."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import reverse

from features.lifecycle import weight_set_steps
from features.models import Backtest, Fitting, WeightSet
from features.registry.weight_sets import active_set, as_weights
from features.tuning.backtest import weights_as_json
from tests.factories import make_weight_set
from tests.features.admin.weights.test_model_admin import change_url, step_url
from tests.staff import log_in, seen_by

pytestmark = pytest.mark.django_db
LIST = "/admin/features/weightset/"
MAIN = re.compile(r'class="fh-button fh-button-main" href="[^"]*/step/([\w-]+)/"')


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the tasks that are sent from now on."""
    names: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: names.append(name))
    return names


def make_backtest(weight_set: WeightSet, **change: float) -> Backtest:
    estimate = {"value": 0.7, "low": 0.6, "high": 0.8}
    part = {"auc": estimate, "deciles": []}
    result = {"active": part, "tried": part, "auc_change": {**estimate, **change}, "days": [], "rows": 1, "buyers": 1}
    return Backtest.objects.create(
        weight_set=weight_set, against=active_set("1.0"), numbers=weights_as_json(as_weights(weight_set)),
        first_day=date(2026, 1, 1), last_day=date(2026, 2, 1), every_days=7, horizon_days=14, state="done", total=5,
        done=5, result=result,
    )  # fmt: skip


def test_the_highlighted_button_is_the_next_step_and_never_one_past_a_schedule() -> None:
    marketer = log_in("marketer")
    weight_set = make_weight_set()
    assert MAIN.findall(marketer.get(change_url(weight_set)).content.decode()) == ["propose"]
    user = User.objects.create_superuser("root")
    at = datetime.now(UTC) + timedelta(days=1)
    weight_set_steps.schedule(weight_set.pk, at=at, now=datetime.now(UTC), reason="Later", **seen_by(user, weight_set))
    page = marketer.get(change_url(weight_set)).content.decode()
    assert "/step/activate/" in page
    assert MAIN.findall(page) == []


def test_history_leads_to_the_timeline_of_the_set() -> None:
    weight_set = make_weight_set()
    answer = log_in("viewer").get(reverse("admin:features_weightset_history", args=[weight_set.pk]))
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{change_url(weight_set)}#fh-timeline")


def test_the_last_backtest_stands_on_the_sets_page_and_where_it_is_approved() -> None:
    marketer = log_in("marketer")
    weight_set = make_weight_set()
    make_backtest(weight_set, low=0.01)
    weight_set_steps.propose(weight_set.pk, by=None, reason="A test")
    for address in (change_url(weight_set), step_url(weight_set, "approve")):
        page = marketer.get(address).content.decode()
        assert "These weights predict purchases better" in page, address
        assert "0.700" in page


def test_an_approval_without_a_backtest_says_so() -> None:
    weight_set = make_weight_set()
    weight_set_steps.propose(weight_set.pk, by=None, reason="A test")
    page = log_in("marketer").get(step_url(weight_set, "approve")).content.decode()
    assert "No backtest has been made of these weights" in page


def test_a_backtest_of_other_numbers_is_marked_as_such() -> None:
    weight_set = make_weight_set()
    make_backtest(weight_set)
    weight_set.weights.filter(event_type="login").update(weight=0.9)
    assert "It was of other numbers" in log_in("viewer").get(change_url(weight_set)).content.decode()


def test_a_marketer_has_weights_fitted_now_and_the_log_says_who(sent: list[str]) -> None:
    assert "Fit weights now" in log_in("marketer").get(LIST).content.decode()
    assert "Fit weights now" not in log_in("viewer").get(LIST).content.decode()
    page = log_in("marketer").post(f"{LIST}fit/", follow=True)
    assert sent == ["features.fit_weights"]
    assert "Weights are being fitted" in page.content.decode()
    assert LogEntry.objects.filter(change_message="Had weights fitted to later purchases.").count() == 1


def test_a_fit_of_which_no_worker_is_told_says_so_and_is_not_in_the_log(full_redis: None) -> None:
    page = log_in("marketer").post(f"{LIST}fit/", follow=True).content.decode()
    assert "No weights are being fitted, because the broker takes no messages" in page
    assert "Weights are being fitted" not in page
    assert not LogEntry.objects.exists()


def test_a_refused_fit_shows_its_weights_beside_the_active_ones() -> None:
    numbers = weights_as_json(as_weights(active_set("1.0")))
    numbers["weight"]["login"] = 0.4321
    Fitting.objects.create(outcome="No better. Nothing is proposed.", numbers=numbers)
    page = log_in("viewer").get(LIST).content.decode()
    assert "The weights that were not proposed" in page
    assert "0.4321" in page
