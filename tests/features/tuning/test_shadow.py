"""Weight sets in shadow: scored beside the active one, not readable, ended by changes and by activation."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from featurehub.lib.errors import ConflictError, InvalidError
from features.lifecycle import weight_set_steps
from features.models import ShadowDay, WeightSet
from features.registry.weight_sets import active_set
from features.tuning import shadow
from tests.factories import cached, make_customer, make_weight_set
from tests.features.admin.weights.test_model_admin import login, numbers
from tests.staff import take_step

pytestmark = pytest.mark.django_db
MONDAY, TUESDAY = datetime(2026, 6, 1, 9, tzinfo=UTC), datetime(2026, 6, 2, 9, tzinfo=UTC)


def in_shadow() -> WeightSet:
    """Make a proposed set that counts logins only, in shadow."""
    weight_set = make_weight_set(weights={"login": (0.6, 6.0), "page_view": (0.0, 100.0)})
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    weight_set_steps.start_shadow(weight_set.pk, by=None, reason="Let us see")
    weight_set.refresh_from_db()
    return weight_set


def test_each_day_keeps_what_both_sets_give_to_the_same_customers() -> None:
    make_customer("c1", login=3)
    make_customer("c2", page_view=10)
    weight_set = in_shadow()

    assert shadow.observe_shadows(now=MONDAY) == 1
    assert shadow.observe_shadows(now=TUESDAY) == 1

    days = list(weight_set.shadow_days.all())
    assert [(day.day.isoformat(), day.customers, day.against) for day in days] == [
        ("2026-06-01", 2, active_set("1.0")), ("2026-06-02", 2, active_set("1.0")),
    ]  # fmt: skip
    assert days[0].mean_active == pytest.approx((0.01 + 0.03) / 2)
    assert days[0].mean_shadow == pytest.approx(0.3 / 2)
    assert days[0].mean_difference == pytest.approx((0.29 + 0.03) / 2)
    assert days[0].rank_correlation == pytest.approx(-1.0)


def test_later_figures_of_a_day_replace_the_earlier_ones() -> None:
    weight_set = in_shadow()
    make_customer("c1", login=3)
    shadow.observe_shadows(now=MONDAY)
    make_customer("c2", login=6)
    shadow.observe_shadows(now=MONDAY)
    assert weight_set.shadow_days.get().mean_shadow == pytest.approx((0.3 + 0.6) / 2)


def test_nobody_reads_the_shadows_scores() -> None:
    make_customer("c1", login=3)
    before = cached("c1")
    in_shadow()
    shadow.observe_shadows(now=MONDAY)
    assert cached("c1") == before


def test_without_customers_or_shadows_nothing_is_kept() -> None:
    assert shadow.observe_shadows(now=MONDAY) == 0
    in_shadow()
    shadow.observe_shadows(now=MONDAY)
    assert not ShadowDay.objects.exists()


def test_changing_or_activating_the_set_ends_its_shadow() -> None:
    changed, activated = in_shadow(), in_shadow()
    weight_set_steps.reopen(changed.pk, by=None, reason="Another number")
    weight_set_steps.activate(activated.pk, by=None, reason="Go")
    assert not WeightSet.objects.filter(shadow_since__isnull=False).exists()
    assert shadow.observe_shadows(now=MONDAY) == 0


def test_approving_and_scheduling_go_on_with_the_shadow() -> None:
    weight_set = in_shadow()
    weight_set_steps.approve(weight_set.pk, by=None, reason="Fine")
    weight_set_steps.schedule(weight_set.pk, at=TUESDAY, now=MONDAY, by=None, reason="Tomorrow")
    weight_set.refresh_from_db()
    assert weight_set.shadow_since is not None


def test_a_shadow_begins_and_ends_once_with_a_reason() -> None:
    weight_set = in_shadow()
    with pytest.raises(ConflictError, match="in shadow already"):
        weight_set_steps.start_shadow(weight_set.pk, by=None, reason="Again")
    with pytest.raises(InvalidError, match="Say why"):
        weight_set_steps.end_shadow(weight_set.pk, by=None, reason="")
    weight_set_steps.end_shadow(weight_set.pk, by=None, reason="Seen enough")
    with pytest.raises(ConflictError, match="does not run in shadow"):
        weight_set_steps.end_shadow(weight_set.pk, by=None, reason="Again")
    assert [step.action for step in weight_set.steps.all()] == ["proposed", "shadowed", "unshadowed"]


def test_the_database_refuses_a_draft_in_shadow() -> None:
    weight_set = make_weight_set()
    with pytest.raises(ConflictError, match="draft"):
        weight_set_steps.start_shadow(weight_set.pk, by=None, reason="Go")
    with pytest.raises(IntegrityError, match="weight_set_in_shadow_does_not_change"):
        WeightSet.objects.filter(pk=weight_set.pk).update(shadow_since=MONDAY)


def test_the_sets_page_charts_its_shadow(client: Client) -> None:
    login(client, "change")
    make_customer("c1", login=3)
    weight_set = make_weight_set()
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    page = reverse("admin:features_weightset_change", args=[weight_set.pk])
    step = reverse("admin:features_weightset_step", args=[weight_set.pk, "shadow"])
    assert step in client.get(page).content.decode()

    take_step(client, step, reason="Let us see")
    assert "The first figures appear within an hour" in client.get(page).content.decode()
    assert step not in client.get(page).content.decode()
    shadow.observe_shadows(now=MONDAY)
    shown = client.get(page).content.decode()

    assert "data-chart" in shown
    assert "1 Jun 2026" in shown
    assert numbers(weight_set) == numbers(active_set("1.0"))
