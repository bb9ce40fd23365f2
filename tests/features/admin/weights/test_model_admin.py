"""Weight sets in the admin: one form for the numbers, pages for the steps, clear messages for what is wrong."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from events.event_types import EVENT_TYPES
from features.lifecycle import version_steps as versions_lifecycle
from features.lifecycle import weight_set_steps
from features.models import Run, WeightSet
from features.registry.weight_sets import active_set
from tests.factories import make_event_type, make_version, make_weight_set
from tests.staff import shown_on, take_step

pytestmark = pytest.mark.django_db
CHANGELIST = "admin:features_weightset_changelist"
FIRST = {"page_view": 0.3, "email_open": 0.2, "email_click": 0.0, "form_submit": 0.2, "purchase": 0.3, "login": 0.1}


def login(client: Client, *permissions: str, name: str = "ann") -> User:
    """Return a client of a member of staff who may view weight sets and has the other permissions named."""
    user = User.objects.create_user(name, is_staff=True)
    names = [f"{permission}_weightset" for permission in ("view", *permissions)]
    user.user_permissions.add(
        *Permission.objects.filter(codename__in=[*names, "view_weight", "change_weight", "add_weight"])
    )
    client.force_login(user)
    return user


def form_data(weight_set: WeightSet | None = None, **changes: Any) -> dict[str, Any]:
    """Return the fields that a browser sends: the first weights, with `changes` such as login__weight="0.4"."""
    data: dict[str, Any] = {
        "name": "Mine", "reason": "More logins", "monetary_norm": "1000",
        "weights-TOTAL_FORMS": "6", "weights-INITIAL_FORMS": "0" if weight_set is None else "6",
        "weights-MIN_NUM_FORMS": "0", "weights-MAX_NUM_FORMS": "6",
    }  # fmt: skip
    rows = {} if weight_set is None else {row.event_type: row for row in weight_set.weights.all()}
    for position, event_type in enumerate(EVENT_TYPES):
        prefix = f"weights-{position}"
        data |= {f"{prefix}-event_type": event_type, f"{prefix}-weight": FIRST[event_type], f"{prefix}-norm": 50}
        if weight_set is not None:
            data |= {f"{prefix}-id": rows[event_type].pk, f"{prefix}-weight_set": weight_set.pk}
        data |= {
            f"{prefix}-{field}": changes.pop(f"{event_type}__{field}")
            for field in ("weight", "norm")
            if f"{event_type}__{field}" in changes
        }
    return data | changes


def change_url(weight_set: WeightSet) -> str:
    return reverse("admin:features_weightset_change", args=[weight_set.pk])


def step_url(weight_set: WeightSet, name: str) -> str:
    return reverse("admin:features_weightset_step", args=[weight_set.pk, name])


def numbers(weight_set: WeightSet) -> dict[str, float]:
    return {row.event_type: row.weight for row in weight_set.weights.all()}


def test_a_new_set_starts_from_the_active_numbers(client: Client) -> None:
    login(client, "add")
    page = client.get(reverse("admin:features_weightset_add")).content.decode()
    for event_type in EVENT_TYPES:
        assert f'value="{event_type}"' in page
    assert 'name="weights-0-weight" value="0.3"' in page


def test_all_weights_and_norms_are_saved_by_one_form(client: Client) -> None:
    ann = login(client, "add", "change")
    answer = client.post(reverse("admin:features_weightset_add"), form_data(login__weight="0.4"))
    made = WeightSet.objects.first()
    assert answer.status_code == 302
    assert made is not None
    assert (made.state, made.created_by, made.version.number) == ("draft", ann, "1.0")
    assert numbers(made) == FIRST | {"login": 0.4}
    assert [step.action for step in made.steps.all()] == ["created"]

    client.post(change_url(made), form_data(made, login__weight="0.5", monetary_norm="2000"))
    made.refresh_from_db()
    assert numbers(made)["login"] == 0.5
    assert made.monetary_norm == 2000
    assert [step.action for step in made.steps.all()] == ["created", "edited"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"login__weight": "-0.1"}, "A weight is at least 0."),
        ({"login__weight": "nan"}, "Enter a number, such as 0.25."),
        ({"login__weight": "inf"}, "Enter a number, such as 0.25."),
        ({"login__weight": "1e999"}, "Enter a number, such as 0.25."),
        ({"login__weight": "much"}, "Enter a number, such as 0.25."),
        ({"login__weight": ""}, "This field is required."),
        ({"login__norm": "0"}, "A norm is greater than 0."),
        ({"login__norm": "-5"}, "A norm is greater than 0."),
        ({"login__norm": "inf"}, "Enter a number, such as 20."),
        ({"monetary_norm": "0"}, "A norm is greater than 0."),
        ({"monetary_norm": "nan"}, "Enter a number."),
        ({f"{name}__weight": "0" for name in EVENT_TYPES}, "All weights are zero, so every customer would score 0"),
        ({"reason": ""}, "This field is required."),
        ({"weights-TOTAL_FORMS": "5"}, "There is one row for each event type"),
    ],
)
def test_bad_numbers_are_refused_with_a_sentence(client: Client, changes: dict[str, str], sentence: str) -> None:
    login(client, "add")
    answer = client.post(reverse("admin:features_weightset_add"), form_data(**changes))
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert WeightSet.objects.count() == 1


def test_editing_a_proposed_set_makes_it_a_draft_again(client: Client) -> None:
    login(client, "change")
    weight_set = make_weight_set()
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    weight_set_steps.approve(weight_set.pk, by=None, reason="Fine")

    client.post(change_url(weight_set), form_data(weight_set, login__weight="0.9"))

    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.approved_at, numbers(weight_set)["login"]) == ("draft", None, 0.9)
    assert [step.action for step in weight_set.steps.all()] == ["proposed", "approved", "sent_back", "edited"]


def test_an_active_set_is_shown_but_not_changed_or_deleted(client: Client) -> None:
    login(client, "change", "delete", "activate")
    active = active_set("1.0")
    page = client.get(change_url(active)).content.decode()
    assert "Used for all behavioral:1.0 scores" in page
    assert 'name="weights-0-weight"' not in page
    assert client.post(change_url(active), form_data(active, login__weight="0.9")).status_code == 403
    assert client.post(reverse("admin:features_weightset_delete", args=[active.pk]), {"post": "yes"}).status_code == 403
    assert numbers(active_set("1.0"))["login"] == 0.1


def test_a_draft_can_be_deleted(client: Client) -> None:
    login(client, "delete")
    weight_set = make_weight_set()
    User.objects.get().user_permissions.add(
        *Permission.objects.filter(codename__in=["delete_weight", "delete_weightsetstep"])
    )
    client.post(reverse("admin:features_weightset_delete", args=[weight_set.pk]), {"post": "yes"})
    assert not WeightSet.objects.filter(pk=weight_set.pk).exists()


def test_activation_asks_why_freezes_the_set_and_shows_the_progress(client: Client) -> None:
    ann = login(client, "activate")
    weight_set = make_weight_set()
    assert "re-scores all customers" in client.get(step_url(weight_set, "activate")).content.decode()

    refused = take_step(client, step_url(weight_set, "activate"), reason=" ")
    assert "Say why" in refused.content.decode()
    answer = take_step(client, step_url(weight_set, "activate"), reason="Logins matter", follow=True)

    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.activated_by) == ("active", ann)
    assert "0 of 0 customers" in answer.content.decode()
    assert weight_set.steps.get(action="activated").reason == "Logins matter"


def test_who_activates_a_set_that_somebody_else_activated_is_told(client: Client) -> None:
    login(client, "activate")
    weight_set = make_weight_set()
    shown = shown_on(client, step_url(weight_set, "activate"))
    weight_set_steps.activate(weight_set.pk, by=None, reason="Faster")
    answer = client.post(step_url(weight_set, "activate"), {"reason": "Go", "shown": shown})
    assert "is active by now (activated by FeatureHub" in answer.content.decode()
    assert Run.objects.filter(weight_set=weight_set).count() == 1


def test_who_saves_a_set_that_was_activated_meanwhile_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    login(client, "change")
    weight_set = make_weight_set()
    reopen = weight_set_steps.reopen

    def activated_just_before(pk: int, **kwargs: Any) -> WeightSet:
        weight_set_steps.activate(pk, by=None, reason="Faster")
        return reopen(pk, **kwargs)

    monkeypatch.setattr(weight_set_steps, "reopen", activated_just_before)
    answer = client.post(change_url(weight_set), form_data(weight_set, login__weight="0.9"), follow=True)
    assert "it does not change. Make a new draft from it." in answer.content.decode()
    assert numbers(weight_set)["login"] == 0.1


@pytest.mark.parametrize(
    ("step", "permission"),
    [("propose", "change"), ("activate", "activate"), ("schedule", "activate")],
)
def test_a_step_needs_its_own_permission(client: Client, step: str, permission: str) -> None:
    weight_set = make_weight_set()
    login(client, *{"change", "approve", "activate"} - {permission}, name="bob")
    assert client.get(step_url(weight_set, step)).status_code == 403
    assert take_step(client, step_url(weight_set, step), reason="Go").status_code == 403
    assert step_url(weight_set, step) not in client.get(change_url(weight_set)).content.decode()
    login(client, permission)
    assert client.get(step_url(weight_set, step)).status_code == 200
    assert step_url(weight_set, step) in client.get(change_url(weight_set)).content.decode()


def test_approving_is_a_permission_of_its_own(client: Client) -> None:
    weight_set = make_weight_set()
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    login(client, "change", "activate", name="bob")
    assert take_step(client, step_url(weight_set, "approve"), reason="Fine").status_code == 403
    login(client, "approve")
    take_step(client, step_url(weight_set, "approve"), reason="Fine")
    weight_set.refresh_from_db()
    assert weight_set.state == "approved"


@pytest.mark.parametrize("name", ["activate", "fly"])
def test_a_set_or_step_that_is_not_there_is_not_found(client: Client, name: str) -> None:
    login(client, "activate")
    assert client.get(reverse("admin:features_weightset_step", args=[999_999, name])).status_code == 404
    assert client.get(step_url(make_weight_set(), "fly")).status_code == 404
    assert client.get(reverse("admin:features_weightset_progress", args=[999_999])).status_code == 404


@pytest.mark.parametrize(
    ("at", "sentence"),
    [("", "Choose a day and a time."), ("soon", "Choose a day and a time."), ("2020-01-01T00:00", "has passed")],
)
def test_a_schedule_needs_a_moment_ahead(client: Client, at: str, sentence: str) -> None:
    login(client, "activate")
    weight_set = make_weight_set()
    answer = take_step(client, step_url(weight_set, "schedule"), reason="Later", at=at)
    assert sentence in answer.content.decode()
    take_step(client, step_url(weight_set, "schedule"), reason="Later", at="2999-01-01T09:30")
    weight_set.refresh_from_db()
    assert weight_set.activate_at is not None
    assert weight_set.activate_at.isoformat() == "2999-01-01T09:30:00+00:00"


def test_the_list_shows_each_sets_life(client: Client) -> None:
    login(client, "activate")
    weight_set = make_weight_set(name="Autumn")
    take_step(client, step_url(weight_set, "activate"), reason="Go")
    page = client.get(reverse(CHANGELIST)).content.decode()
    assert "Autumn" in page
    assert page.count('aria-current="step"') == 2
    assert re.search(r"<b>Active</b>\s*<span>[^<]+</span> <span>by ann</span>", page)
    assert re.search(r"<b>Superseded</b>\s*<span>[^<]+</span> <span>by ann</span>", page)


def test_rolling_back_is_one_page_away_from_the_old_set(client: Client) -> None:
    login(client, "activate")
    first = active_set("1.0")
    weight_set_steps.activate(make_weight_set(weights={"login": (0.9, 5.0)}).pk, by=None, reason="Go")
    assert step_url(first, "roll-back") in client.get(change_url(first)).content.decode()

    take_step(client, step_url(first, "roll-back"), reason="Fewer sales")

    active = active_set("1.0")
    assert (active.origin, numbers(active)) == ("rollback", FIRST)


def test_the_sets_of_a_retired_version_can_be_looked_at_and_no_more(client: Client) -> None:
    login(client, "add", "change", "activate", "approve")
    version = make_version("behavioral", state="shadow")
    first, unused = version.weight_sets.get(), make_weight_set(version=version)
    versions_lifecycle.retire(version.pk, by=None, reason="A mistake")
    for weight_set in (first, unused):
        page = client.get(change_url(weight_set)).content.decode()
        assert "behavioral:2.0 is retired: its weights are no longer used" in page
        assert "/step/" not in page
        studio = client.get(reverse("admin:features_weightset_studio", args=[weight_set.pk])).content.decode()
        assert "compared with the active weights of behavioral:1.0" in studio
        assert "but not save them: behavioral:2.0 is retired" in studio
    answer = take_step(client, step_url(first, "roll-back"), reason="Try").content.decode()
    assert "behavioral:2.0 is retired" in answer
    assert WeightSet.objects.filter(state="active").count() == 1


# --- Types that are not there from the start --------------------------------------------------------------------------


def test_the_form_has_a_row_for_a_registered_type(client: Client) -> None:
    make_event_type("trial_started")
    login(client, "add", "change")
    row = {"weights-6-event_type": "trial_started", "weights-6-weight": "0.4", "weights-6-norm": "2"}
    client.post(reverse("admin:features_weightset_add"), form_data(**{"weights-TOTAL_FORMS": "7", **row}))
    made = WeightSet.objects.latest("pk")
    assert made.weights.get(event_type="trial_started").weight == 0.4
    assert made.weights.count() == 7


def test_a_draft_from_before_a_type_was_registered_gains_its_row(client: Client) -> None:
    draft = make_weight_set()
    make_event_type("trial_started")
    login(client, "change")
    row = {"weights-6-event_type": "trial_started", "weights-6-weight": "0.4", "weights-6-norm": "2"}
    assert "Trial started, weight" in client.get(change_url(draft)).content.decode()
    client.post(change_url(draft), form_data(draft, **{"weights-TOTAL_FORMS": "7", **row}))
    assert draft.weights.get(event_type="trial_started").weight == 0.4


def test_a_form_from_before_a_type_was_registered_is_shown_again(client: Client) -> None:
    make_event_type("trial_started")
    login(client, "add", "change")
    answer = client.post(reverse("admin:features_weightset_add"), form_data())
    assert "load the page again" in answer.content.decode()
