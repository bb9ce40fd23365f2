"""The pages of value monitoring: what is unusual, the features, the baseline week and thresholds."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from features.lifecycle import weight_set_steps
from features.models import BaselineWeek, FeatureProfile, FeatureThresholds
from tests.factories import count_hours, make_profile, make_weight_set
from tests.features.monitoring.test_metrics import scrape
from tests.staff import log_in, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("within_an_hour")]
LIST = "/admin/features/featureprofile/"
draw = np.random.default_rng(6)


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def hour() -> datetime:
    """Return the hour that goes on: not the one in which the tests were collected."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def yesterday() -> date:
    return hour().date() - timedelta(days=1)


def page_of(client: Client, address: str) -> str:
    return text_of(client.get(address))


def make_days(*, shift: float = 0.0, days: int = 8, last: date | None = None) -> FeatureProfile:
    """Make the profiles of a feature on some days, the last of which (yesterday) has shifted; return that one."""
    last = last or yesterday()
    for back in range(days - 1, 0, -1):
        make_profile(draw.normal(0.5, 0.1, 1_000).tolist(), day=last - timedelta(days=back))
    return make_profile(draw.normal(0.5 + shift, 0.1, 1_000).tolist(), day=last)


def test_before_the_first_profile_the_page_says_when_it_comes(operator: Client) -> None:
    page = page_of(operator, LIST)
    assert "No day is profiled yet" in page
    assert "20,000 random customers" in page
    assert "Nothing: no feature has shifted" in page


def test_the_page_shows_each_feature_and_what_is_unusual(operator: Client) -> None:
    profile = make_days(shift=0.2)
    count_hours("email_open", until=hour() - timedelta(hours=6), hours=24 * 20, events=12)
    count_hours("email_open", until=hour() + timedelta(hours=1), hours=7, events=0)
    page = page_of(operator, LIST)
    assert "The values of engagement_score have shifted" in page
    assert "No email_open for 6 hours, where 72 are usual at this time and 288 a day." in page
    assert f'href="{LIST}{profile.pk}/change/"' in page
    assert 'hub-warning">shifted' in page
    assert "Events by day" in page
    dashboard = page_of(operator, "/admin/")
    assert "No email_open for 6 hours" in dashboard
    assert "Look at its chart" in dashboard


def test_without_anything_unusual_the_first_page_has_no_alert(operator: Client) -> None:
    make_days()
    assert "Nothing: no feature has shifted" in page_of(operator, LIST)
    assert "Value monitoring, with charts" not in page_of(operator, "/admin/")


def test_the_page_of_a_feature_has_its_charts_and_marks_the_activation_of_weights(operator: Client) -> None:
    new = make_weight_set(name="New")
    weight_set_steps.activate(new.pk, by=None, reason="A test")
    # Days of the future, since activated weights do not change.
    profile = make_days(shift=0.2, last=yesterday() + timedelta(days=3))
    page = page_of(operator, f"{LIST}{profile.pk}/change/?days=30")
    for title in ("Values", "Customers without a value", "Population stability index", "Largest distance"):
        assert f">{title}" in page
    assert f"weights #{new.pk}" in page
    assert "of 1,000 customers (everybody)" in page
    assert page_of(operator, f"{LIST}{profile.pk}/change/?days=x")


def test_the_first_profiled_day_has_charts_without_drift(operator: Client) -> None:
    page = page_of(operator, f"{LIST}{make_profile([float('nan')], day=yesterday()).pk}/change/")
    assert "There is no earlier day yet" in page
    assert "Population stability index" not in page


def test_an_operator_chooses_the_baseline_week(operator: Client) -> None:
    make_days()
    make_days(last=yesterday() - timedelta(days=30), shift=0.4)
    first = yesterday() - timedelta(days=36)
    answer = operator.post(f"{LIST}baseline/", {"first_day": first, "reason": "Before the campaign"}, follow=True)
    page = " ".join(answer.content.decode().split())
    week = BaselineWeek.objects.get()
    assert (week.first_day, week.reason) == (first, "Before the campaign")
    assert f"Days are compared with the week from <strong>{first:%-d %b %Y}</strong>, chosen by staff" in page
    assert LogEntry.objects.get(object_id=week.pk).change_message.endswith("Before the campaign")
    wrong = operator.post(f"{LIST}baseline/", {"first_day": "2001-01-01", "reason": "x"})
    assert "No day of this week is profiled" in wrong.content.decode()
    assert BaselineWeek.objects.count() == 1


def test_an_operator_sets_the_thresholds_of_a_feature(operator: Client) -> None:
    profile = make_days(shift=0.2)
    address = f"{LIST}{profile.pk}/thresholds/"
    answer = operator.post(address, {"stability_index": "50", "largest_distance": "1"}, follow=True)
    assert "not shifted" in answer.content.decode()
    assert FeatureThresholds.objects.get().stability_index == 50
    assert "Stability index 50.0" in LogEntry.objects.get(object_id=profile.pk).change_message
    assert "Nothing: no feature" in page_of(operator, LIST)
    assert operator.post(address, {"stability_index": "x", "largest_distance": "2"}).status_code == 200
    assert FeatureThresholds.objects.get().stability_index == 50


def test_viewers_see_and_change_nothing() -> None:
    viewer = log_in("viewer")
    profile = make_days()
    assert "Take this week" not in page_of(viewer, LIST)
    assert "Set these thresholds" not in page_of(viewer, f"{LIST}{profile.pk}/change/")
    for address in (f"{LIST}baseline/", f"{LIST}{profile.pk}/thresholds/"):
        assert viewer.post(address).status_code == 403
        assert log_in("operator").get(address).status_code == 405
    assert log_in().get(LIST).status_code == 403


def test_the_metrics_tell_what_has_shifted_and_what_is_silent(client: Client) -> None:
    make_days(shift=0.2)
    count_hours("email_open", until=hour() - timedelta(hours=6), hours=24 * 20, events=12)
    count_hours("email_open", until=hour() + timedelta(hours=1), hours=7, events=0)
    metrics = scrape(client)
    assert metrics["featurehub_values_shifted"] == 1
    assert metrics['featurehub_value_stability_index{feature="engagement_score",week="last"}'] > 1
    assert metrics['featurehub_value_largest_distance{feature="engagement_score",week="last"}'] > 0.5
    assert metrics['featurehub_value_missing_share{feature="engagement_score"}'] == 0
    assert metrics['featurehub_event_type_unusual{event_type="email_open"}'] == 1
    assert metrics['featurehub_event_type_unusual{event_type="login"}'] == 0
    assert 0 <= metrics["featurehub_value_profile_age_seconds"] <= 86_400
