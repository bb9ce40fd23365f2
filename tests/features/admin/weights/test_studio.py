"""The studio's page: its preview, its messages for invalid numbers, and saving."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from events.event_types import EVENT_TYPES
from events.registered_types import event_types
from events.registration import archive_event_type
from features.lifecycle import weight_set_steps
from features.models import WeightSet
from features.registry.weight_sets import active_set, as_weights
from tests.factories import make_customer, make_event_type, make_weight_set
from tests.features.admin.weights.test_model_admin import FIRST, login, numbers

pytestmark = pytest.mark.django_db


def url(part: str, weight_set: WeightSet) -> str:
    return reverse(f"admin:features_weightset_{part}", args=[weight_set.pk])


def fields(**changes: Any) -> dict[str, Any]:
    """Return the fields that a browser sends: the first weights, with `changes` such as weight_login="0.4"."""
    weights = {f"weight_{name}": value for name, value in FIRST.items()}
    norms = {f"norm_{name}": 50 for name in EVENT_TYPES}
    return {**weights, **norms, "monetary_norm": 1000, "threshold": 0.5, "name": "Mine", "reason": "Try", **changes}


def test_the_page_offers_the_sets_numbers_and_the_active_ones_as_reference(client: Client) -> None:
    login(client, "change")
    page = client.get(url("studio", make_weight_set(weights={"login": (0.7, 12.0)}))).content.decode()
    assert 'name="weight_login"' in page
    assert 'value="0.7"' in page
    assert "active: 0.1" in page
    assert "Save this draft" in page


def test_the_preview_shows_who_moves_and_why(client: Client) -> None:
    login(client)
    make_customer("mover", login=10)
    make_customer("steady", page_view=5)
    answer = client.post(url("preview", make_weight_set()), fields(weight_login="0.9", norm_login="10"))
    page = answer.content.decode()
    assert "all 2 active customers" in page
    assert 'href="/admin/features/customer/mover/change/">mover</a>' in page
    assert "10 × login +0.867" in page
    assert page.index("Scores of the customers") < page.index("The biggest movers")


def test_a_rising_share_of_clamped_customers_is_warned_of(client: Client) -> None:
    login(client)
    make_customer("c1", login=10)
    weight_set = make_weight_set()
    assert "More scores are capped at 1" not in client.post(url("preview", weight_set), fields()).content.decode()
    page = client.post(url("preview", weight_set), fields(weight_login="1.5", norm_login="10")).content.decode()
    assert "More scores are capped at 1" in page
    assert "0.0 % → 100.0 %" in page


def test_without_customers_the_preview_explains_itself(client: Client) -> None:
    login(client)
    page = client.post(url("preview", make_weight_set()), fields()).content.decode()
    assert "No customer has done anything in the window" in page
    assert "data-chart" not in page


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"weight_login": "-1"}, "weight_login", "A weight is at least 0."),
        ({"weight_login": "nan"}, "weight_login", "Enter a number, such as 0.25."),
        ({"norm_login": "0"}, "norm_login", "A norm is greater than 0."),
        ({"norm_login": "-inf"}, "norm_login", "Enter a number, such as 20."),
        ({"monetary_norm": "0"}, "monetary_norm", "A norm is greater than 0."),
        ({"threshold": "7"}, "threshold", "A threshold is a score from 0 to 1."),
        ({f"weight_{name}": "0" for name in EVENT_TYPES}, "__all__", "All weights are zero"),
    ],
)
def test_numbers_that_cannot_score_are_refused_beside_their_field(
    client: Client, changes: dict[str, str], field: str, sentence: str
) -> None:
    login(client, "add", "change")
    weight_set = make_weight_set()
    answer = client.post(url("preview", weight_set), fields(**changes))
    assert answer.status_code == 400
    assert sentence in json.loads(answer.content)["errors"][field][0]["message"]
    assert sentence in client.post(url("studio", weight_set), fields(**changes)).content.decode()
    assert numbers(weight_set) == FIRST


def test_saving_keeps_the_numbers_in_the_draft(client: Client) -> None:
    login(client, "change")
    weight_set = make_weight_set()
    answer = client.post(url("studio", weight_set), fields(weight_login="0.45", monetary_norm="500"))
    weight_set.refresh_from_db()
    assert answer.headers["Location"] == f"{url('studio', weight_set)}?saved={weight_set.pk}"
    assert (numbers(weight_set)["login"], weight_set.monetary_norm) == (0.45, 500.0)
    assert weight_set.steps.get().action == "edited"


def test_saving_a_proposed_set_makes_it_a_draft_again(client: Client) -> None:
    login(client, "change")
    weight_set = make_weight_set()
    weight_set_steps.propose(weight_set.pk, by=None, reason="Ready")
    client.post(url("studio", weight_set), fields())
    weight_set.refresh_from_db()
    assert weight_set.state == "draft"


def test_trying_changes_to_the_active_set_makes_a_new_draft(client: Client) -> None:
    ann = login(client, "add")
    active = active_set("1.0")
    client.post(url("studio", active), fields(weight_login="0.45", copy="1"))
    made = WeightSet.objects.first()
    assert made is not None
    assert (made.state, made.created_by, numbers(made)["login"]) == ("draft", ann, 0.45)
    assert as_weights(active_set("1.0")) == as_weights(active)


def test_saving_needs_a_reason_and_the_permission(client: Client) -> None:
    login(client, "change")
    weight_set = make_weight_set()
    assert "Say why" in client.post(url("studio", weight_set), fields(reason="")).content.decode()
    login(client, name="viewer")
    assert client.get(url("studio", weight_set)).status_code == 200
    assert client.post(url("studio", weight_set), fields()).status_code == 403
    assert weight_set.steps.count() == 0


def test_two_sets_are_compared_side_by_side(client: Client) -> None:
    login(client)
    make_customer("c1", login=10)
    first, second = active_set("1.0"), make_weight_set(weights={"login": (0.77, 10.0)})
    compare = reverse("admin:features_weightset_compare")
    for query in ("", f"?left={first.pk}&right={second.pk}"):
        page = client.get(compare + query).content.decode()
        assert '<td class="fh-changed">0.77</td>' in page
        assert 'change/">c1</a>' in page
    assert "Select a valid choice" in client.get(f"{compare}?left=x").content.decode()


def test_a_customers_page_says_what_its_score_would_be_under_a_draft(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    make_customer("c1", login=3)
    draft = make_weight_set(name="Loyalty", weights={"login": (0.8, 6.0)})
    page = client.get(reverse("admin:features_customer_change", args=["c1"])).content.decode()
    assert f"Loyalty (#{draft.pk})" in page
    assert "<b>0.400</b>" in page


# --- Types that are not there from the start --------------------------------------------------------------------------


def test_the_studio_has_sliders_for_a_registered_type_and_saves_them(client: Client) -> None:
    make_event_type("norm_trial")  # a name that looks like a field of another kind
    login(client, "change", "add")
    draft = make_weight_set()
    page = client.get(url("studio", draft)).content.decode()
    assert 'name="weight_norm_trial"' in page
    assert 'name="norm_norm_trial"' in page
    client.post(url("studio", draft), fields(weight_norm_trial="0.4", norm_norm_trial="2"))
    saved = as_weights(WeightSet.objects.get(pk=draft.pk))
    assert (saved.weight_of("norm_trial"), saved.norm_of("norm_trial")) == (0.4, 2.0)


def test_the_preview_moves_customers_by_a_further_type(client: Client) -> None:
    make_event_type("trial_started")
    login(client)
    make_customer("mover", trial_started=1)
    sent = fields(weight_trial_started="0.4", norm_trial_started="2")
    assert "1 × trial started +0.200" in client.post(url("preview", make_weight_set()), sent).content.decode()


def test_a_page_from_before_a_type_was_registered_saves_nothing_of_it(client: Client) -> None:
    login(client, "change", "add")
    draft = make_weight_set()
    make_event_type("trial_started")
    assert client.post(url("studio", draft), fields()).status_code == 302
    assert as_weights(WeightSet.objects.get(pk=draft.pk)).weight_of("trial_started") == 0.0


def test_an_archived_type_is_offered_while_a_set_weighs_it(client: Client) -> None:
    make_event_type("trial_started")
    make_event_type("trial_ended")
    draft = make_weight_set()
    draft.weights.create(event_type="trial_started", weight=0.4, norm=2)
    for name in ("trial_started", "trial_ended"):
        archive_event_type(name)
    event_types.forget()
    login(client, "change")
    page = client.get(url("studio", draft)).content.decode()
    assert 'name="weight_trial_started"' in page
    assert 'name="weight_trial_ended"' not in page
