"""Definitions, versions and the history in the admin."""

from typing import Any

import pytest
from django.test import Client

from features.client_values import set_customer_features
from features.models import FeatureDefinition, FeatureVersion
from features.registry import registry
from tests.factories import ago, make_client, make_customer, make_event, url_of
from tests.staff import log_in

pytestmark = pytest.mark.django_db
DEFINITIONS = "/admin/features/featuredefinition/"
VERSIONS = "/admin/features/featureversion/"
HISTORY = "/admin/features/customerfeature/"
NEW = {"name": "pets", "feature_type": "customer", "description": "", "owner": "", "unit": "", "tags": ""}


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def definition(name: str) -> FeatureDefinition:
    return FeatureDefinition.objects.get(name=name)


def change(client: Client, name: str, /, **data: Any) -> Any:
    return client.post(f"{DEFINITIONS}{definition(name).pk}/change/", data)


def test_a_new_definition_can_be_written_to_at_once(operator: Client, django_capture_on_commit_callbacks: Any) -> None:
    registry.get()
    with django_capture_on_commit_callbacks(execute=True):
        assert operator.post(f"{DEFINITIONS}add/", {**NEW, "maximum": "9"}).status_code == 302
    body = {"feature_type": "customer", "version": "1.0", "features": {"pets": 2}}
    client = make_client("read", "write")
    assert client.patch(url_of("c1"), body).status_code == 200
    assert client.get(url_of("c1"), {"names": "pets"}).json()["features"] == {"pets": 2.0}
    assert client.patch(url_of("c1"), {**body, "features": {"pets": 10}}).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "Pets"}, "Use lower-case letters"),
        ({"name": "engagement_score"}, "already exists"),
        ({"feature_type": "behavioral"}, "Select a valid choice"),
        ({"minimum": "2", "maximum": "1"}, "The maximum is at least the minimum."),
        ({"minimum": "nan"}, "Enter a number"),
        ({"maximum": "inf"}, "Enter a number"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_a_wrong_definition_is_refused_with_a_word(operator: Client, changes: dict[str, str], error: str) -> None:
    before = FeatureDefinition.objects.count()
    page = operator.post(f"{DEFINITIONS}add/", {**NEW, **changes})
    assert page.status_code == 200
    assert error in page.content.decode()
    assert FeatureDefinition.objects.count() == before


@pytest.mark.parametrize("name", ["engagement_score", "tenure_days"])
def test_name_and_type_of_a_definition_stay(operator: Client, name: str) -> None:
    pk, feature_type = definition(name).pk, definition(name).feature_type
    assert b'name="name"' not in operator.get(f"{DEFINITIONS}{pk}/change/").content
    assert change(operator, name, name="other", feature_type="contextual", owner="Team").status_code == 302
    row = FeatureDefinition.objects.get(pk=pk)
    assert (row.name, row.feature_type, row.owner) == (name, feature_type, "Team")


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
    made = FeatureDefinition.objects.create(name="pets", feature_type="customer")
    assert operator.post(f"{DEFINITIONS}{made.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not FeatureDefinition.objects.filter(name="pets").exists()


def test_versions_are_shown_with_their_features(operator: Client) -> None:
    assert "behavioral:1.0" in operator.get(VERSIONS).content.decode()
    version = FeatureVersion.objects.get(feature_type="behavioral")
    page = operator.get(f"{VERSIONS}{version.pk}/change/").content.decode()
    assert f'href="{DEFINITIONS}{definition("engagement_score").pk}/change/"' in page


def rows(client: Client, query: str = "") -> list[tuple[str, str]]:
    response = client.get(f"{HISTORY}?{query}")
    assert response.status_code == 200
    return [(row.customer_id, row.feature_type) for row in response.context["cl"].result_list]


def test_the_history_is_found_by_customer_type_and_day(operator: Client) -> None:
    make_customer("a", login=1)
    set_customer_features(
        "b", feature_type="customer", version="1.0", features={"tenure_days": 3.0}, timestamp=ago(days=9)
    )
    assert rows(operator, "q=a") == [("a", "derived"), ("a", "behavioral")]
    assert rows(operator, "feature_type__exact=customer") == [("b", "customer")]
    assert rows(operator, "version=1.0&feature_type__exact=derived") == [("a", "derived")]
    assert rows(operator, "version=2.0") == []
    assert rows(operator, f"timestamp_to={ago(days=5).date()}") == [("b", "customer")]
    assert rows(operator, "q=%20b%20") == [("b", "customer")]


def test_a_row_of_history_is_shown_and_never_changed(operator: Client) -> None:
    make_customer("a", events=[make_event()])
    pk = operator.get(f"{HISTORY}?q=a").context["cl"].result_list[-1].pk
    page = operator.get(f"{HISTORY}{pk}/change/").content.decode()
    assert "last_purchase_us" in page
    assert log_in(is_superuser=True).post(f"{HISTORY}{pk}/change/", {"version": "2"}).status_code == 403


def test_an_empty_history_says_what_would_fill_it(operator: Client) -> None:
    assert "No history yet" in operator.get(HISTORY).content.decode()
