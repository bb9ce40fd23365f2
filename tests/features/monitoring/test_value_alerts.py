"""Alerts about values and events: shifted distributions, silent event types, jumps in volume."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from events.event_types import EVENT_TYPES
from features.models import BaselineWeek, EventHour, FeatureThresholds
from features.monitoring import event_volume
from features.monitoring.drift import newest_drifts
from features.monitoring.event_volume import unusual_volumes
from features.monitoring.value_alerts import look_for_alerts
from tests.factories import count_hours, make_event, make_profile, store_events

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0)
DAY = NOW.date() - timedelta(days=1)
draw = np.random.default_rng(14)


def make_week(*, first: date, mean: float, size: int = 2_000) -> None:
    for number in range(7):
        make_profile(draw.normal(mean, 1, size).tolist(), day=first + timedelta(days=number))


def texts() -> list[str]:
    return [alert.text for alert in look_for_alerts(now=NOW).alerts(now=NOW)]


# --- Values -----------------------------------------------------------------------------------------------------------


def test_a_distribution_that_has_shifted_since_last_week_raises_an_alert() -> None:
    make_week(first=DAY - timedelta(days=7), mean=0.0)
    make_profile(draw.normal(1, 1, 2_000).tolist(), day=DAY)
    (alert,) = look_for_alerts(now=NOW).alerts(now=NOW)
    assert alert.feature == "engagement_score"
    assert "The values of engagement_score have shifted: stability index" in alert.text
    assert "from the week before" in alert.text
    assert "Look at its chart" in alert.to_do


def test_a_distribution_that_has_not_shifted_raises_none() -> None:
    make_week(first=DAY - timedelta(days=7), mean=0.0)
    make_profile(draw.normal(0, 1, 2_000).tolist(), day=DAY)
    assert texts() == []
    drift = newest_drifts()[0].from_last_week
    assert drift is not None
    assert drift.stability_index < 0.02


def test_a_slow_shift_shows_against_the_baseline_week_only() -> None:
    first = DAY - timedelta(days=40)
    make_week(first=first, mean=0.0)
    make_week(first=DAY - timedelta(days=7), mean=1.0)
    make_profile(draw.normal(1, 1, 2_000).tolist(), day=DAY)
    assert texts() == []
    BaselineWeek.objects.create(first_day=first, reason="Before the campaign")
    assert "from the baseline week." in texts()[0]


def test_values_that_are_missing_all_at_once_raise_an_alert() -> None:
    make_week(first=DAY - timedelta(days=7), mean=0.0)
    make_profile([*draw.normal(0, 1, 1_000).tolist(), *[float("nan")] * 1_000], day=DAY)
    assert "have shifted" in texts()[0]


def test_a_feature_has_the_thresholds_that_somebody_gave_it() -> None:
    make_week(first=DAY - timedelta(days=7), mean=0.0)
    make_profile(draw.normal(1, 1, 2_000).tolist(), day=DAY)
    FeatureThresholds.objects.create(name="engagement_score", stability_index=5.0, largest_distance=0.9)
    assert texts() == []


def test_what_chance_explains_in_a_small_sample_raises_none() -> None:
    make_week(first=DAY - timedelta(days=7), mean=0.0, size=20)
    make_profile(np.abs(draw.normal(0, 1, 6)).tolist(), day=DAY)
    drift = newest_drifts()[0].from_last_week
    assert drift is not None
    assert drift.stability_index > 0.2
    assert texts() == []


def test_a_new_version_of_a_feature_is_compared_by_its_name() -> None:
    make_week(first=DAY - timedelta(days=7), mean=0.0)
    profile = make_profile(draw.normal(1, 1, 2_000).tolist(), day=DAY)
    type(profile).objects.filter(pk=profile.pk).update(version="2.0")
    assert len(texts()) == 1


def test_days_that_nobody_profiles_raise_an_alert() -> None:
    make_profile([1.0], day=DAY - timedelta(days=2))
    assert texts() == [f"The values of no day since {DAY - timedelta(days=2):%-d %b %Y} are profiled."]


# --- Events -----------------------------------------------------------------------------------------------------------


def test_a_silent_event_type_raises_an_alert() -> None:
    count_hours("login", until=HOUR + timedelta(hours=1), hours=24 * 20, events=10)
    count_hours("email_open", until=HOUR - timedelta(hours=6), hours=24 * 20, events=12)
    count_hours("email_open", until=HOUR + timedelta(hours=1), hours=7, events=0)
    (alert,) = look_for_alerts(now=NOW).alerts(now=NOW)
    assert alert.text == "No email_open for 6 hours, where 72 are usual at this time and 288 a day."
    assert "is the sender running" in alert.to_do


def test_a_type_that_sends_again_and_one_that_is_often_silent_raise_none() -> None:
    count_hours("email_open", until=HOUR - timedelta(hours=6), hours=24 * 20, events=12)
    count_hours("email_open", until=HOUR, hours=6, events=0)
    EventHour.objects.create(hour=HOUR, event_type="email_open", events=1)
    # Mailings on every second day.
    for hours in range(7, 24 * 20):
        events = 50 if hours // 24 % 2 else 0
        EventHour.objects.create(hour=HOUR - timedelta(hours=hours), event_type="email_click", events=events)
    count_hours("email_click", until=HOUR + timedelta(hours=1), hours=7, events=0)
    assert unusual_volumes(now=NOW) == []


def test_silence_is_not_told_where_nobody_has_counted() -> None:
    count_hours("email_open", until=HOUR - timedelta(hours=6), hours=24 * 20, events=12)
    assert texts() == []


@pytest.mark.parametrize(("events", "is_jump"), [(40, True), (12, False), (14, False), (3, True)])
def test_a_jump_in_volume_raises_an_alert(events: int, is_jump: bool) -> None:
    count_hours("purchase", until=HOUR - timedelta(hours=24), hours=24 * 10, events=12)
    count_hours("purchase", until=HOUR, hours=24, events=events)
    found = [f"{24 * events} purchase in 24 hours, where 288 are usual."] if is_jump else []
    assert texts() == found


def test_a_weekly_mailing_is_no_jump() -> None:
    for day in range(29):
        for hour in range(1, 25):
            moment = HOUR - timedelta(days=day, hours=hour)
            EventHour.objects.create(hour=moment, event_type="email_open", events=90 if day % 7 == 0 else 10)
    assert texts() == []


# --- Counting ---------------------------------------------------------------------------------------------------------


def counted(event_type: str = "login") -> dict[datetime, int]:
    rows = EventHour.objects.filter(event_type=event_type, events__gt=0)
    return dict(rows.values_list("hour", "events"))


def count_all(*, now: datetime = NOW) -> None:
    while event_volume.count_next(now=now):
        pass


def logins(*hours_ago: int) -> None:
    store_events(*(make_event(event_type="login", timestamp=HOUR - timedelta(hours=hours)) for hours in hours_ago))


def test_events_are_counted_by_type_and_hour() -> None:
    logins(0, 0, 3, 3, 3, 700)
    count_all()
    ago = {hours: HOUR - timedelta(hours=hours) for hours in (0, 3)}
    assert {hour: events for hour, events in counted().items() if hour >= ago[3]} == {ago[0]: 2, ago[3]: 3}
    assert set(EventHour.objects.values_list("event_type", flat=True)) == set(EVENT_TYPES)
    before = EventHour.objects.count()
    count_all()
    assert EventHour.objects.count() == before


def test_an_event_that_arrives_within_two_hours_counts() -> None:
    count_all()
    logins(1, 2, 30)
    count_all()
    assert counted() == {HOUR - timedelta(hours=1): 1, HOUR - timedelta(hours=2): 1}


def test_hours_that_nobody_counted_are_made_up_for() -> None:
    count_all(now=NOW - timedelta(days=3))
    logins(50, 1)
    count_all()
    assert counted() == {HOUR - timedelta(hours=50): 1, HOUR - timedelta(hours=1): 1}
