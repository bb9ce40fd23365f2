"""Daily profiles of values: what they hold, that they are made once, and that missed days are made up for."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from pytest_django import Settings

from features import tasks
from features.materialization import recompute
from features.materialization.erasure import erase_customer
from features.models import BaselineWeek, Customer, FeatureProfile, FeatureVersion, ProfiledDay
from features.monitoring import profiles
from tests.factories import ago, forget_registry, make_client, make_customer, make_event, make_profile, url_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("within_an_hour")]


def one_o_clock() -> datetime:
    """Return the tests' moment of today: not of the day on which they were collected."""
    return datetime.combine(datetime.now(UTC).date(), time(1), tzinfo=UTC)


def yesterday() -> date:
    return one_o_clock().date() - timedelta(days=1)


def make_logged_in(customer_id: str, *, logins: int, days: float = 2) -> None:
    """Make a customer with so many logins some days ago, known and computed since then."""
    moment = one_o_clock() - timedelta(days=days)
    moments = [moment - timedelta(minutes=number) for number in range(logins)]
    make_customer(customer_id, events=[make_event(event_type="login", timestamp=timestamp) for timestamp in moments])
    Customer.objects.filter(pk=customer_id).update(first_seen_at=moment)
    recompute.recompute_customers(customer_ids=[customer_id], as_of=moment + timedelta(minutes=1))


def profile_all(*, now: datetime | None = None) -> None:
    while profiles.profile_next(now=now or one_o_clock()):
        pass


def profile(name: str = "login_frequency", *, day: date | None = None) -> FeatureProfile:
    return FeatureProfile.objects.get(day__day=day or yesterday(), name=name)


def test_a_profile_holds_the_values_at_the_end_of_its_day() -> None:
    for number in range(4):
        make_logged_in(f"c{number}", logins=number + 1)
    make_customer("today", login=9)
    profile_all()
    found = profile()
    assert (found.customers, found.missing, found.mean) == (4, 0, 2.5)
    assert (found.edges, found.shares) == ([1.0, 2.0, 3.0, 4.0], [0.25, 0.5, 0.75, 1.0])
    assert (profile("tenure_days").missing, profile("tenure_days").mean) == (4, None)
    assert ProfiledDay.objects.get(day=yesterday()).parts.count() == 0


def test_decay_and_derived_values_are_of_the_end_of_the_day() -> None:
    bought = one_o_clock() - timedelta(days=6)
    make_customer("c", events=[make_event(event_type="purchase", timestamp=bought, metadata={"amount": 10})])
    recompute.recompute_customers(customer_ids=["c"], as_of=bought + timedelta(minutes=1))
    profile_all()
    end = profiles.day_end(yesterday())
    recency = 1 - (end - bought) / timedelta(days=30)
    assert profile("recency_score").mean == pytest.approx(recency)
    assert profile("rfm_score").mean == pytest.approx((recency + 0.1 + 0.01) / 3)


@pytest.mark.parametrize(("time_to_live", "missing"), [(None, 0), (90_000, 1)])
def test_values_that_clients_wrote_are_missing_after_their_time_to_live(time_to_live: int | None, missing: int) -> None:
    make_logged_in("c", logins=1)
    body = {"feature_type": "customer", "version": "1.0", "features": {"tenure_days": 3.0}}
    written = {**body, "timestamp": (profiles.day_end(yesterday()) - timedelta(days=2)).isoformat()}
    assert make_client("write").patch(url_of("c"), written).status_code == 200
    FeatureVersion.objects.filter(feature_type="customer", number="1.0").update(time_to_live=time_to_live)
    forget_registry()
    profile_all()
    assert profile("tenure_days").missing == missing


def test_a_day_is_profiled_once_and_missed_days_are_made_up_for() -> None:
    make_logged_in("c", logins=1, days=20)
    profile_all()
    days = set(ProfiledDay.objects.values_list("day", flat=True))
    assert days == {yesterday() - timedelta(days=back) for back in range(profiles.DAYS_MADE_UP)}
    before = list(FeatureProfile.objects.values_list("pk", flat=True))
    profile_all()
    assert list(FeatureProfile.objects.values_list("pk", flat=True)) == before
    ProfiledDay.objects.filter(day=yesterday() - timedelta(days=3)).delete()
    tasks.profile_values_task()
    profile_all(now=datetime.now(UTC))
    assert profile(day=yesterday() - timedelta(days=3)).customers == 1


def test_a_day_that_was_given_up_half_way_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "CUSTOMERS_PER_PART", 2)
    for number in range(5):
        make_logged_in(f"c{number}", logins=1)
    assert profiles.profile_next(now=one_o_clock()) == 1
    row = ProfiledDay.objects.get()
    assert (row.state, len(row.waiting), row.customers, row.parts.count()) == ("running", 3, 2, 1)
    profile_all()
    assert profile().customers == 5


def test_the_sample_has_the_stated_size(settings: Settings) -> None:
    settings.PROFILE_SAMPLE = 3
    for number in range(6):
        make_logged_in(f"c{number}", logins=1)
    profile_all()
    row = ProfiledDay.objects.get(day=yesterday())
    assert (row.customers, row.is_everybody, profile().customers) == (3, False, 3)


def test_an_erased_customer_is_in_no_sample() -> None:
    for customer_id in ("a", "b"):
        make_logged_in(customer_id, logins=1)
    row = profiles.day_under_way(now=one_o_clock())
    assert row is not None
    erase_customer("a")
    row.refresh_from_db()
    assert row.waiting == ["b"]
    profile_all()
    assert profile().customers == 1


def test_profiles_are_kept_for_a_year_and_those_of_the_baseline_week_as_long_as_it_is_in_use() -> None:
    old = yesterday() - timedelta(days=500)
    for back in (0, 20):
        make_profile([1.0], day=old - timedelta(days=back))
    make_profile([1.0], day=yesterday() - timedelta(days=360))
    BaselineWeek.objects.create(first_day=old - timedelta(days=3), reason="A test")
    profile_all()
    kept = ProfiledDay.objects.filter(customers__gt=0).values_list("day", flat=True)
    assert set(kept) == {old, yesterday() - timedelta(days=360)}


def test_a_store_without_customers_has_days_without_profiles() -> None:
    profile_all()
    assert not FeatureProfile.objects.exists()
    assert not profiles.finished_days().exists()
    assert ago(days=1).date() in ProfiledDay.objects.values_list("day", flat=True)
