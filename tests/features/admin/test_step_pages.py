"""The page of a step: it shows what the step acts on, and two people at once can't make it act on anything else."""

import pytest
from django.test import Client
from pytest_django import Settings

from features.lifecycle import drafts, weight_set_steps
from features.models import FeatureVersion, WeightSet
from tests.factories import make_definition, make_version, make_weight_set
from tests.staff import log_in, shown_on, take_step

pytestmark = pytest.mark.django_db
SETS, VERSIONS = "/admin/features/weightset/", "/admin/features/featureversion/"


def text_of(page: bytes) -> str:
    return " ".join(page.decode().split())


def numbers_in_studio(**changes: str) -> dict[str, str]:
    """Return the fields of the studio's form: weights of 0.2 and norms of 10, with `changes`."""
    names = ("page_view", "email_open", "email_click", "form_submit", "purchase", "login")
    fields = {f"weight_{name}": "0.2" for name in names} | {f"norm_{name}": "10" for name in names}
    return {"name": "Mine", "reason": "Try", "monetary_norm": "1000", **fields, **changes}


def drafted_by(author: Client, **changes: str) -> WeightSet:
    author.post(f"{SETS}1/studio/", numbers_in_studio(**changes) | {"copy": "1"})
    made = WeightSet.objects.first()
    assert made is not None
    return made


@pytest.fixture
def two_persons(settings: Settings) -> None:
    settings.TWO_PERSON_APPROVAL = True


@pytest.fixture
def ann() -> Client:
    return log_in("marketer")


@pytest.fixture
def bob() -> Client:
    return log_in("marketer")


def test_the_page_shows_every_number_beside_the_active_one(ann: Client) -> None:
    weight_set = make_weight_set(weights={"purchase": (0.123456789012345, 7.0)})
    page = text_of(ann.get(f"{SETS}{weight_set.pk}/step/activate/").content)
    assert '<th scope="row">Purchase: weight</th> <td class="fh-changed">0.123456789012345</td> <td>0.3</td>' in page
    assert '<th scope="row">Purchase: norm</th> <td class="fh-changed">7</td> <td>10</td>' in page
    assert '<th scope="row">Page view: weight</th> <td >0.3</td> <td>0.3</td>' in page
    assert '<th scope="row">Monetary norm</th> <td >1000</td>' in page


def test_the_author_swaps_the_numbers_between_the_approvers_page_and_click(
    ann: Client, bob: Client, two_persons: None
) -> None:
    weight_set = drafted_by(ann)
    address = f"{SETS}{weight_set.pk}/step/approve/"
    take_step(ann, f"{SETS}{weight_set.pk}/step/propose/", reason="Ready")
    shown_to_bob = shown_on(bob, address)
    ann.post(f"{SETS}{weight_set.pk}/studio/", numbers_in_studio(weight_purchase="0.9"))
    take_step(ann, f"{SETS}{weight_set.pk}/step/propose/", reason="Ready")

    answer = bob.post(address, {"reason": "Looks right", "shown": shown_to_bob})

    weight_set.refresh_from_db()
    assert (weight_set.state, weight_set.approved_by) == ("proposed", None)
    page = text_of(answer.content)
    assert f"Mine (#{weight_set.pk}) is not what you were shown any more (proposed by staff-" in page
    assert '<th scope="row">Purchase: weight</th><td>0.2</td><td class="fh-changed">0.9</td>' in page
    assert "The button below acts on what is shown now." in page
    assert "Looks right</textarea>" in page

    # He looks again, at the page that he was given, and approves that.
    take_step(bob, address, reason="Looks right too")
    weight_set.refresh_from_db()
    assert weight_set.state == "approved"


def test_the_page_of_a_refused_step_carries_what_it_shows_itself(ann: Client, bob: Client) -> None:
    weight_set = drafted_by(ann)
    address = f"{SETS}{weight_set.pk}/step/activate/"
    before = shown_on(bob, address)
    ann.post(f"{SETS}{weight_set.pk}/studio/", numbers_in_studio(weight_purchase="0.9"))
    page = bob.post(address, {"reason": "", "shown": before}).content.decode()
    again = page.partition('name="shown" value="')[2].partition('"')[0]
    assert again != before
    assert "What has changed since you opened this page" in page
    assert bob.post(address, {"reason": "Go", "shown": again}).status_code == 302


def test_numbers_that_went_back_to_draft_are_named_where_nothing_is_left_to_do(ann: Client, bob: Client) -> None:
    weight_set = drafted_by(ann)
    address = f"{SETS}{weight_set.pk}/step/approve/"
    take_step(ann, f"{SETS}{weight_set.pk}/step/propose/", reason="Ready")
    shown_to_bob = shown_on(bob, address)
    ann.post(f"{SETS}{weight_set.pk}/studio/", numbers_in_studio(weight_purchase="0.9"))
    page = text_of(bob.post(address, {"reason": "Looks right", "shown": shown_to_bob}).content)
    assert "is draft by now (changed by staff-" in page
    assert '<th scope="row">Purchase: weight</th><td>0.2</td><td class="fh-changed">0.9</td>' in page
    assert "so there is nothing to do here" in page


@pytest.mark.parametrize("forged", ["", "x", "e30:1abcde:Zm9yZ2Vk"])
def test_a_form_that_does_not_say_what_was_shown_is_refused(ann: Client, forged: str) -> None:
    weight_set = make_weight_set()
    page = ann.post(f"{SETS}{weight_set.pk}/step/activate/", {"reason": "Go", "shown": forged}).content.decode()
    assert "The page did not say what you were shown." in page
    weight_set.refresh_from_db()
    assert weight_set.state == "draft"


def test_the_page_of_one_set_does_not_stand_for_another(ann: Client) -> None:
    first, second = make_weight_set(), make_weight_set()
    shown = shown_on(ann, f"{SETS}{first.pk}/step/activate/")
    page = ann.post(f"{SETS}{second.pk}/step/activate/", {"reason": "Go", "shown": shown}).content.decode()
    assert "The page did not say what you were shown." in page


def test_a_feature_is_swapped_between_the_page_and_the_click(db: None) -> None:
    carol, dan = log_in("operator"), log_in("operator")
    version = make_version("behavioral", logins_7d={"event_type": "login", "window": "7d"})
    address = f"{VERSIONS}{version.pk}/step/shadow/"
    shown = shown_on(carol, address)
    drafts.remove_definition(version.pk, version.definitions.get(name="logins_7d"), by=None)
    made = make_definition("clicks", "behavioral", event_type="email_click")
    dan.post(f"{VERSIONS}{version.pk}/features/", {"add": made.pk})
    page = text_of(carol.post(address, {"reason": "Go", "shown": shown}).content)
    assert "behavioral:2.0 is not what you were shown any more (by staff-" in page
    assert (
        '<th scope="row">logins_7d</th><td>Number of login events over 7 days; 0 where there is no value</td>' in page
    )
    assert '<th scope="row">clicks</th><td>–</td>' in page
    assert FeatureVersion.objects.get(pk=version.pk).state == "draft"


def test_going_live_names_the_version_that_went_live_meanwhile(db: None) -> None:
    carol = log_in("operator")
    version = make_version("customer", "2.0", state="shadow")
    address = f"{VERSIONS}{version.pk}/step/go-live/"
    shown = shown_on(carol, address)
    make_version("customer", "3.0", state="live")
    page = text_of(carol.post(address, {"reason": "Go", "shown": shown}).content)
    assert '<th scope="row">Live now</th><td>customer:1.0</td><td class="fh-changed">customer:3.0</td>' in page
    assert FeatureVersion.objects.get(pk=version.pk).state == "shadow"


def test_a_roll_back_shows_the_numbers_that_come_back(ann: Client) -> None:
    first = WeightSet.objects.get()
    weight_set_steps.activate(make_weight_set(weights={"login": (0.9, 5.0)}).pk, by=None, reason="Go")
    page = text_of(ann.get(f"{SETS}{first.pk}/step/roll-back/").content)
    assert '<th scope="row">Login: weight</th> <td class="fh-changed">0.1</td> <td>0.9</td>' in page
