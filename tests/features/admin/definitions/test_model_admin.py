"""Features in the admin: defined without a deploy, previewed before they are saved, fixed once they are in use."""

from typing import Any

import pytest
from django.test import Client

from features.lifecycle import drafts
from features.models import FeatureDefinition, FeatureVersion
from features.registry.snapshot import registry_snapshot
from features.registry.window_text import WINDOWS_ALLOWED
from tests.factories import (
    make_client,
    make_customer,
    make_definition,
    make_event_type,
    make_purchase,
    make_version,
    url_of,
)
from tests.staff import log_in, text_of

pytestmark = pytest.mark.django_db
DEFINITIONS = "/admin/features/featuredefinition/"
PETS = {"name": "pets", "feature_type": "customer", "description": "", "owner": "", "unit": "", "tags": ""}
WINDOW = {
    "name": "shoes_spend_14d", "feature_type": "behavioral", "kind": "sum", "metadata_key": "amount",
    "event_type": "purchase", "category": "shoes", "window_hours": "14d", "half_life_days": "7",
    "version_behavioral": "new",
}  # fmt: skip
MOOD = {
    "name": "mood", "feature_type": "derived", "expression": "clamp(recency_score * 2, 0, 1)", "version_derived": "new",
}  # fmt: skip


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def definition(name: str) -> FeatureDefinition:
    return FeatureDefinition.objects.get(name=name)


def change(client: Client, name: str, /, **data: Any) -> Any:
    return client.post(f"{DEFINITIONS}{definition(name).pk}/change/", data)


def add(client: Client, data: dict[str, Any]) -> str:
    """Send the form and return the page after it."""
    return client.post(f"{DEFINITIONS}add/", data, follow=True).content.decode()


def preview(client: Client, data: dict[str, Any], *, pk: int | None = None) -> str:
    return text_of(client.post(f"{DEFINITIONS}{'' if pk is None else f'{pk}/'}preview/", data))


def versions_of(name: str) -> list[str]:
    return sorted(map(str, definition(name).versions.all()))


# --- A new one -----------------------------------------------------------------------------------------------------


def test_what_clients_write_can_be_written_to_at_once(
    operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    registry_snapshot.get()
    live = FeatureVersion.objects.get(feature_type="customer")
    with django_capture_on_commit_callbacks(execute=True):
        page = add(operator, {**PETS, "maximum": "9", "version_customer": live.pk})
    assert "pets is saved and in customer:1.0. Clients can write it now." in page
    body = {"feature_type": "customer", "version": "1.0", "features": {"pets": 2}}
    client = make_client("read", "write")
    assert client.patch(url_of("c1"), body).status_code == 200
    assert client.get(url_of("c1"), {"names": "pets"}).json()["features"] == {"pets": 2.0}
    assert client.patch(url_of("c1"), {**body, "features": {"pets": 10}}).status_code == 400


def test_a_window_is_saved_with_its_meaning_and_is_in_a_new_draft(operator: Client) -> None:
    page = add(operator, WINDOW)
    row = definition("shoes_spend_14d")
    assert (row.kind, row.metadata_key, row.event_type, row.category) == ("sum", "amount", "purchase", "shoes")
    assert (row.window_hours, row.half_life_days, row.default) == (14 * 24, 7.0, 0.0)
    assert versions_of("shoes_spend_14d") == ["behavioral:2.0"]
    version = FeatureVersion.objects.get(number="2.0")
    assert (version.state, version.definitions.count()) == ("draft", 15)
    assert "Put the version into shadow" in page
    assert "Sum of amount of purchase events in category shoes over 14 days, half-life 7 days" in page


def test_a_window_is_added_to_a_draft_that_is_there(operator: Client) -> None:
    version = make_version("behavioral")
    assert "the draft behavioral:2.0" in operator.get(f"{DEFINITIONS}add/").content.decode()
    add(operator, {**WINDOW, "version_behavioral": version.pk})
    assert versions_of("shoes_spend_14d") == ["behavioral:2.0"]
    add(operator, {**WINDOW, "name": "other", "version_behavioral": ""})
    assert versions_of("other") == []


def test_a_draft_that_left_meanwhile_takes_nothing(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    page = add(operator, {**WINDOW, "version_behavioral": version.pk})
    assert "Select a valid choice" in page
    assert not FeatureDefinition.objects.filter(name="shoes_spend_14d").exists()


def test_a_derived_feature_is_an_expression(operator: Client) -> None:
    add(operator, MOOD)
    assert definition("mood").expression == "clamp(recency_score * 2, 0, 1)"
    assert versions_of("mood") == ["derived:2.0"]


def test_an_expression_with_a_feature_of_a_draft_says_where_that_is(operator: Client) -> None:
    add(operator, WINDOW)
    page = add(operator, MOOD | {"expression": "shoes_spend_14d / 100"})
    assert "mood uses shoes_spend_14d, which is in the draft behavioral:2.0 only: put that into shadow" in page
    make_definition("pets", "behavioral")
    page = add(operator, MOOD | {"expression": "pets / 2"})
    assert "mood uses pets, which is in no version" in page


def test_what_belongs_to_another_type_is_left_out(operator: Client) -> None:
    add(operator, {**WINDOW, "feature_type": "customer", "expression": "1 +", "version_customer": ""})
    row = definition("shoes_spend_14d")
    assert (row.kind, row.metadata_key, row.category, row.window_hours, row.expression) == ("", "", None, None, "")


def test_a_count_has_no_metadata_key_and_a_maximum_no_half_life(operator: Client) -> None:
    add(operator, {**WINDOW, "kind": "count"})
    assert definition("shoes_spend_14d").metadata_key == ""
    add(operator, {**WINDOW, "name": "other", "kind": "max"})
    assert definition("other").half_life_days is None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (PETS | {"name": "Pets"}, "Use lower-case letters"),
        (PETS | {"name": "engagement_score"}, "already exists"),
        (PETS | {"name": "max"}, "max is a word of expressions"),
        (PETS | {"name": "lambda"}, "lambda is a word of expressions"),
        (PETS | {"feature_type": "invented"}, "Select a valid choice"),
        (PETS | {"minimum": "2", "maximum": "1"}, "The maximum is at least the minimum."),
        (PETS | {"minimum": "nan"}, "Enter a number"),
        (PETS | {"maximum": "inf"}, "Enter a number"),
        (PETS | {"default": "inf"}, "Enter a number"),
        (PETS | {"name": ""}, "This field is required"),
        (WINDOW | {"kind": ""}, "Choose what is computed of the events."),
        (WINDOW | {"window_hours": ""}, f"Say how far back events count. {WINDOWS_ALLOWED}"),
        (WINDOW | {"window_hours": "0h"}, WINDOWS_ALLOWED),
        (WINDOW | {"window_hours": "91d"}, WINDOWS_ALLOWED),
        (WINDOW | {"window_hours": "7"}, WINDOWS_ALLOWED),
        (WINDOW | {"window_hours": "1w"}, WINDOWS_ALLOWED),
        (WINDOW | {"window_hours": "1.5h"}, WINDOWS_ALLOWED),
        (WINDOW | {"metadata_key": ""}, "Say which metadata key, such as amount."),
        (WINDOW | {"metadata_key": "a b"}, "Use letters, digits, underscores"),
        (WINDOW | {"half_life_days": "0"}, "A half-life is a number of days greater than 0."),
        (WINDOW | {"half_life_days": "-1"}, "A half-life is a number of days greater than 0."),
        (WINDOW | {"half_life_days": "nan"}, "Enter a number"),
        (WINDOW | {"version_behavioral": "999"}, "Select a valid choice"),
        (MOOD | {"expression": ""}, "Say how it is computed from other features."),
        (MOOD | {"expression": "recency_score *"}, "Invalid expression: it ends too early."),
        (MOOD | {"expression": "recency_scor"}, "Did you mean recency_score?"),
        (MOOD | {"expression": "mood + 1"}, "A feature can&#x27;t use itself"),
        (MOOD | {"expression": "__import__('os')"}, "There is no function __import__"),
    ],
)
def test_a_wrong_definition_is_refused_with_a_word(operator: Client, data: dict[str, str], error: str) -> None:
    before = FeatureDefinition.objects.count()
    page = operator.post(f"{DEFINITIONS}add/", data)
    assert page.status_code == 200
    assert error in page.content.decode()
    assert FeatureDefinition.objects.count() == before
    assert FeatureVersion.objects.count() == 4


def test_the_form_offers_what_the_newest_events_hold(operator: Client) -> None:
    make_customer("c1", events=[make_purchase(category="shoes <b>")])
    page = operator.get(f"{DEFINITIONS}add/").content.decode()
    assert '<option value="amount">' in page
    assert '<option value="shoes &lt;b&gt;">' in page
    assert "engagement_score" in page


def test_a_version_page_leads_to_a_form_for_it(operator: Client) -> None:
    version = make_version("derived")
    page = operator.get(f"{DEFINITIONS}add/?feature_type=derived&version={version.pk}").content.decode()
    assert f'<option value="{version.pk}" selected>the draft derived:2.0' in page
    assert '<option value="derived" selected>' in page


# --- The preview ---------------------------------------------------------------------------------------------------


def shoppers() -> None:
    for number in range(4):
        make_customer(f"c{number}", events=[make_purchase(amount=10.0 * number, category="shoes")])


def test_a_window_is_tried_on_a_sample_and_nothing_is_saved(operator: Client) -> None:
    shoppers()
    page = preview(operator, WINDOW | {"half_life_days": ""})
    assert "Sum of amount of purchase events in category shoes over 14 days" in page
    assert "4 of 4" in page
    assert "75.0 %" in page
    assert 'href="/admin/features/customer/c3/change/">c3</a></th><td>30</td>' in page
    assert "How the values are spread" in page
    assert not FeatureDefinition.objects.filter(name="shoes_spend_14d").exists()
    assert FeatureVersion.objects.count() == 4


def test_an_expression_is_tried_on_current_values(operator: Client) -> None:
    shoppers()
    page = preview(operator, MOOD | {"expression": "purchase_amount_30d / 10"})
    assert ">c3</a></th><td>3</td>" in page
    page = preview(operator, MOOD | {"expression": "1 / purchase_amount_30d"})
    assert "3 of 4" in page


def test_an_expression_is_tried_beside_what_the_draft_has(operator: Client) -> None:
    version = make_version("derived", half={"expression": "purchase_amount_30d / 2"})
    shoppers()
    data = MOOD | {"expression": "half * 2", "version_derived": version.pk}
    assert ">c3</a></th><td>30</td>" in preview(operator, data)
    assert "half, which is a derived feature that this version does not have" in preview(
        operator, data | {"version_derived": "new"}
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (WINDOW | {"window_hours": "200d"}, f"Window: {WINDOWS_ALLOWED}"),
        (WINDOW | {"name": ""}, "Name: This field is required."),
        (MOOD | {"expression": "nonsense"}, "nonsense, which is not a feature"),
        (PETS, "This feature is written through the API"),
        (WINDOW, "No customer is known yet"),
    ],
)
def test_where_there_is_nothing_to_show_it_says_why(operator: Client, data: dict[str, str], sentence: str) -> None:
    assert sentence in preview(operator, data)


def test_a_preview_that_matches_nothing_says_so(operator: Client) -> None:
    shoppers()
    assert "All values are 0." in preview(operator, WINDOW | {"category": "boots"})
    assert "No customer has a value" in preview(operator, MOOD | {"expression": "tenure_days"})


def test_a_saved_definition_is_tried_again_before_it_changes(operator: Client) -> None:
    shoppers()
    row = make_version("behavioral", spend={"kind": "sum", "metadata_key": "amount"}).definitions.get(name="spend")
    assert "over 3 days" in preview(operator, WINDOW | {"window_hours": "3d"}, pk=row.pk)
    row.refresh_from_db()
    assert row.window_hours == 30 * 24


def test_who_may_not_add_a_feature_may_not_try_one(operator: Client) -> None:
    viewer = log_in("viewer")
    assert viewer.post(f"{DEFINITIONS}preview/", WINDOW).status_code == 403
    assert viewer.get(f"{DEFINITIONS}preview/").status_code == 403
    assert operator.get(f"{DEFINITIONS}preview/").status_code == 200


# --- One that is there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["engagement_score", "tenure_days"])
def test_name_and_type_of_a_definition_stay(operator: Client, name: str) -> None:
    pk, feature_type = definition(name).pk, definition(name).feature_type
    assert b'name="name"' not in operator.get(f"{DEFINITIONS}{pk}/change/").content
    assert change(operator, name, name="other", feature_type="contextual", owner="Team").status_code == 302
    row = FeatureDefinition.objects.get(pk=pk)
    assert (row.name, row.feature_type, row.owner) == (name, feature_type, "Team")


def test_what_is_in_drafts_only_can_still_mean_something_else(operator: Client) -> None:
    make_version("behavioral", logins={"event_type": "login"})
    page = operator.get(f"{DEFINITIONS}{definition('logins').pk}/change/").content.decode()
    assert 'name="window_hours" value="30d"' in page
    change(operator, "logins", kind="count", event_type="login", window_hours="36h")
    assert definition("logins").window_hours == 36


def test_what_a_version_past_draft_has_keeps_its_meaning_and_says_why(operator: Client) -> None:
    make_version("behavioral", logins={"event_type": "login"}, state="shadow")
    page = " ".join(operator.get(f"{DEFINITIONS}{definition('logins').pk}/change/").content.decode().split())
    assert 'name="window_hours"' not in page
    assert ">30d<" in page.replace(" ", "")
    assert "Name and computation locked: published in behavioral:2.0" in page
    assert change(operator, "logins", kind="max", window_hours="7d", owner="Team").status_code == 302
    row = definition("logins")
    assert (row.kind, row.window_hours, row.owner) == ("count", 30 * 24, "Team")


def test_a_change_that_another_feature_of_its_version_cannot_bear_is_refused(operator: Client) -> None:
    make_version("derived", half={"expression": "recency_score / 2"}, twice={"expression": "half * 4"})
    page = change(operator, "half", expression="twice / 4").content.decode()
    assert "A feature can&#x27;t use itself" in page
    assert definition("half").expression == "recency_score / 2"


def test_a_page_says_what_it_is_where_it_is_and_who_has_it(operator: Client) -> None:
    shoppers()
    page = operator.get(f"{DEFINITIONS}{definition('purchases_30d').pk}/change/").content.decode()
    assert "Computed by a formula of FeatureHub" in page
    assert "100.0 % of 4 sampled customers have a value" in page
    version = FeatureVersion.objects.get(feature_type="behavioral")
    assert f'href="/admin/features/featureversion/{version.pk}/change/">behavioral:1.0</a>' in page


def test_the_list_says_in_words_what_each_is(operator: Client) -> None:
    make_version("behavioral", logins={"event_type": "login"}, state="shadow")
    page = operator.get(DEFINITIONS).content.decode()
    assert "Number of login events over 30 days" in page
    assert "1.0\u00a0live, 2.0\u00a0shadow" in page


def test_tags_are_words_between_commas(operator: Client) -> None:
    change(operator, "tenure_days", tags=" age ,time,, age")
    assert definition("tenure_days").tags == ["age", "time"]
    page = operator.get(f"{DEFINITIONS}{definition('tenure_days').pk}/change/").content.decode()
    assert 'value="age, time"' in page


def test_a_definition_in_a_version_is_not_deleted(operator: Client) -> None:
    pk = definition("tenure_days").pk
    assert operator.post(f"{DEFINITIONS}{pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(DEFINITIONS, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert FeatureDefinition.objects.filter(pk=pk).exists()


def test_a_definition_that_no_version_has_is_deleted(operator: Client) -> None:
    made = make_definition("pets")
    assert operator.post(f"{DEFINITIONS}{made.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not FeatureDefinition.objects.filter(name="pets").exists()


def test_a_definition_taken_out_of_its_draft_can_be_deleted(operator: Client) -> None:
    version = make_version("behavioral", logins={"event_type": "login"})
    drafts.remove_definition(version.pk, definition("logins"), by=None)
    assert operator.post(f"{DEFINITIONS}{definition('logins').pk}/delete/", {"post": "yes"}).status_code == 302


def test_a_viewer_looks_and_changes_nothing() -> None:
    viewer = log_in("viewer")
    pk = definition("tenure_days").pk
    assert viewer.get(f"{DEFINITIONS}{pk}/change/").status_code == 200
    assert viewer.post(f"{DEFINITIONS}{pk}/change/", {"owner": "Me"}).status_code == 403
    assert viewer.get(f"{DEFINITIONS}add/").status_code == 403


# --- Event types that are registered ----------------------------------------------------------------------------------


def test_a_window_counts_events_of_a_registered_type_and_of_no_other(operator: Client) -> None:
    make_event_type("trial_started", label="Trial begins")
    assert "Trial begins" in operator.get(f"{DEFINITIONS}add/").content.decode()
    trials = {**WINDOW, "name": "trials_7d", "kind": "count", "metadata_key": "", "category": "", "half_life_days": ""}
    add(operator, {**trials, "event_type": "trial_started"})
    assert definition("trials_7d").event_type == "trial_started"
    page = add(operator, {**trials, "name": "guesses_7d", "event_type": "guess"})
    assert "guess is not one of the available choices" in page
    assert not FeatureDefinition.objects.filter(name="guesses_7d").exists()


def test_a_window_over_a_further_type_is_previewed(operator: Client) -> None:
    make_event_type("trial_started")
    make_customer("c1", trial_started=3)
    trials = {**WINDOW, "name": "trials_7d", "kind": "count", "metadata_key": "", "category": "", "half_life_days": ""}
    assert "3" in preview(operator, {**trials, "event_type": "trial_started"})
