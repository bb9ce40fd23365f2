"""Feature sets in the admin: the list, the page of one, and the form that makes the next number."""

from typing import Any

import pytest
from django.test import Client

from featurehub.access.models import create_api_key
from features.lifecycle.feature_sets import make_feature_set, make_numbered_set
from features.models import ActivityLogEntry, FeatureSet, FeatureSetUse
from tests.factories import ago, make_version
from tests.staff import log_in, take_step, text_of

pytestmark = pytest.mark.django_db
SETS = "/admin/features/featureset/"
LIVE = dict.fromkeys(("customer", "behavioral", "contextual", "derived"), "1.0")


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def make(name: str = "churn_model", *, names: list[str], **fields: Any) -> FeatureSet:
    return make_feature_set(name, names=names, **fields).feature_set


def send(client: Client, **fields: str) -> str:
    sent = {"name": "churn_model", "features": "recency_score", "reason": "The model of May", **LIVE, **fields}
    return text_of(client.post(f"{SETS}make/", sent, follow=True))


def test_a_set_is_made_of_what_the_form_shows(operator: Client) -> None:
    page = send(operator, features="recency_score,\n cart_value  engagement_score\n")
    assert "churn_model:1 is made." in page
    made = FeatureSet.objects.get()
    assert made.names == ["recency_score", "cart_value", "engagement_score"]
    assert made.versions == {"behavioral": "1.0", "contextual": "1.0"}
    assert made.made_by is not None
    assert f"{made.made_by}" in page
    assert "The model of May" in page
    assert "?set=churn_model:1" in page
    entry = ActivityLogEntry.objects.get(kind="feature_sets")
    assert (entry.person, entry.why, entry.subject) == (made.made_by, "The model of May", "churn_model:1")


def test_the_form_begins_with_the_live_versions_and_a_chosen_one_is_pinned(operator: Client) -> None:
    make_version("behavioral", state="shadow")
    form = text_of(operator.get(f"{SETS}make/"))
    assert form.index("behavioral:1.0, live") < form.index("behavioral:2.0, shadow")
    send(operator, behavioral="2.0")
    assert FeatureSet.objects.get().versions == {"behavioral": "2.0"}


def test_the_next_number_begins_with_the_contents_of_the_last(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    made = make(names=["recency_score", "cart_value"], versions=[str(version)])
    form = operator.get(f"{SETS}make/?like={made.pk}").content.decode()
    assert 'value="churn_model"' in form
    assert "recency_score\ncart_value</textarea>" in form
    assert '<option value="2.0" selected>' in form


@pytest.mark.parametrize("like", ["", "x", "0", "9" * 30, "-1"])
def test_the_contents_of_no_set_are_an_empty_form(operator: Client, like: str) -> None:
    assert operator.get(f"{SETS}make/?like={like}").status_code == 200


def test_a_set_that_is_there_is_not_made_again(operator: Client) -> None:
    send(operator)
    assert "churn_model:1 is just that, so it was not made again." in send(operator)
    assert FeatureSet.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"features": "recency_scor"}, "There is no feature recency_scor. Did you mean recency_score?"),
        ({"features": " , "}, "A set has 1 to 500 features, not 0."),
        ({"features": "cart_value cart_value"}, "cart_value is there more than once."),
        ({"name": "Churn model"}, "A set&#x27;s name begins with a letter"),
        ({"reason": ""}, "Say why: it is kept with the set."),
        ({"behavioral": "9.0"}, "Select a valid choice."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(operator: Client, fields: dict[str, str], sentence: str) -> None:
    assert sentence in send(operator, **fields)
    assert FeatureSet.objects.count() == 0


def test_a_set_of_a_draft_says_that_it_can_not_be_read_yet(operator: Client) -> None:
    make_version("behavioral")
    made = make_numbered_set(
        "draft_model", 4, names=["recency_score"], versions=["behavioral:2.0"], by=None, reason="From a file"
    )
    assert "It can't be read yet:</strong> behavioral:2.0 is a draft." in text_of(
        operator.get(f"{SETS}{made.pk}/change/")
    )
    assert "behavioral:2.0 is a draft: it can't be read yet" in text_of(operator.get(SETS))


def test_the_list_has_the_newest_of_each_name_and_its_page_the_others(operator: Client) -> None:
    assert "No set yet." in text_of(operator.get(SETS))
    first, second = (make(names=["recency_score", "cart_value"][:size]) for size in (1, 2))
    make("basket", names=["cart_value"])
    key, _ = create_api_key("scorer", scopes=["read"])
    FeatureSetUse.objects.create(api_key=key, feature_set=second, used_at=ago(hours=2))
    page = text_of(operator.get(SETS))
    assert "churn_model:2" in page
    assert "and 1 earlier" in page
    assert "basket:1" in page
    assert f"{SETS}{first.pk}/change/" not in page
    assert "scorer, 2 h 0 min ago" in page
    of_second = text_of(operator.get(f"{SETS}{second.pk}/change/"))
    assert "Other numbers of churn_model" in of_second
    assert f"{SETS}{first.pk}/change/" in of_second
    assert "scorer" in of_second


def test_those_who_only_look_are_offered_nothing_to_make(operator: Client) -> None:
    made = make(names=["cart_value"])
    viewer = log_in("viewer")
    for address in (SETS, f"{SETS}{made.pk}/change/"):
        assert "featureset/make/" in text_of(operator.get(address))
        assert "featureset/make/" not in text_of(viewer.get(address))
    assert viewer.get(f"{SETS}make/").status_code == 403


def test_retiring_a_version_that_a_set_pins_asks_first_and_names_its_readers(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    made = make(names=["recency_score"], versions=["behavioral:2.0"])
    key, _ = create_api_key("scorer", scopes=["read"])
    FeatureSetUse.objects.create(api_key=key, feature_set=made, used_at=ago(days=1))
    address = f"/admin/features/featureversion/{version.pk}/step/retire/"
    page = text_of(operator.get(address))
    assert "Feature sets pin it." in page
    assert "scorer read it, " in page
    assert "Retire anyway" in page
    refused = text_of(take_step(operator, address, reason="Old"))
    assert "Feature sets pin behavioral:2.0: churn_model:1 (read by scorer)." in refused
    assert "churn_model:1" in text_of(operator.get(f"/admin/features/featureversion/{version.pk}/change/"))
    answer = take_step(operator, address, reason="Old", confirmed="on", follow=True)
    assert "behavioral:2.0 is retired." in text_of(answer)
    assert "It can't be read any more:" in text_of(operator.get(f"{SETS}{made.pk}/change/"))
    assert "behavioral:2.0 can't be read any more" in text_of(operator.get(SETS))
