"""The activity log: one list over all that is recorded, filtered, searched and exported."""

import csv
from io import StringIO

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client

from events.models import DirtyCustomer, ErasedCustomer
from events.tombstones import add_tombstone
from featurehub.access.models import create_api_key
from features.lifecycle import weight_set_steps
from features.models import ActivityLogEntry, ConsistencyCheck, FeatureDefinition, Run
from tests.factories import make_definition, make_version, make_weight_set
from tests.staff import log_in, seen_by

pytestmark = pytest.mark.django_db
LIST = "/admin/features/activitylogentry/"
EXPORT = LIST + "export/"


@pytest.fixture
def root() -> Client:
    return log_in(is_superuser=True)


def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = client.get(EXPORT + query)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(StringIO(b"".join(answer.streaming_content).decode())))


def kinds() -> set[str]:
    return set(ActivityLogEntry.objects.values_list("kind", flat=True))


def make_everything(root: Client) -> User:
    """Do one thing of each kind, some by a person and some by none. Return the person."""
    person = User.objects.get(username__startswith="staff-", is_superuser=True)
    draft = make_weight_set(name="Spring")
    weight_set_steps.propose(draft.pk, reason="Purchases count more", **seen_by(person, draft))
    make_version("customer", "2.0")
    create_api_key("till", scopes=["read"])
    add_tombstone("c1")
    definition = make_definition("pets")
    root.post(f"/admin/features/featuredefinition/{definition.pk}/change/", {"description": "Pets at home", "tags": ""})
    root.post("/admin/access/apikey/add/", {"name": "shop", "scopes": ["read"], "requests_per_minute": ""})
    root.post("/admin/django_celery_beat/intervalschedule/add/", {"every": "99", "period": "days"})
    run = Run.objects.create(kind=Run.Kind.REPAIR, total=3)
    ConsistencyCheck.objects.create(
        run=Run.objects.create(kind=Run.Kind.CHECK, state="done"), rate=0.001, confidence=0.95, is_everybody=True,
        repair_run=run,
    )  # fmt: skip
    return person


def test_everything_that_is_recorded_is_in_one_list_the_newest_first(root: Client) -> None:
    make_everything(root)
    assert {"weights", "versions", "definitions", "api_keys", "tasks", "erasures", "repairs"} <= kinds()
    page = root.get(LIST).content.decode()
    for text in (
        "Spring",
        "Purchases count more",
        "customer:2.0",
        "till",
        "pets",
        "Erased a customer.",
        "Began by itself",
    ):
        assert text in page
    moments = [row["when (UTC)"] for row in exported(root)]
    assert moments == sorted(moments, reverse=True)
    assert FeatureDefinition.objects.get(name="pets").description == "Pets at home"


def test_an_entry_names_the_person_or_says_that_there_was_none_and_links_the_object(root: Client) -> None:
    person = make_everything(root)
    [proposed] = [row for row in exported(root) if row["what"] == "Proposed"]
    assert (proposed["who"], proposed["why"]) == (person.username, "Purchases count more")
    [erased] = [row for row in exported(root) if row["kind"] == "Erasures"]
    assert erased["who"] == "FeatureHub, a command or the API"
    page = root.get(LIST + "?q=Spring").content.decode()
    assert "/admin/features/weightset/" in page


def test_a_key_made_in_the_admin_is_there_once_and_one_made_by_a_command_says_so(root: Client) -> None:
    make_everything(root)
    keys = [(row["object"].split(" (")[0], row["what"]) for row in exported(root, "?kind__exact=api_keys")]
    assert sorted(keys) == [("shop", "Added."), ("till", "Made by a command.")]


def test_the_list_is_filtered_by_person_kind_date_and_text(root: Client) -> None:
    person = make_everything(root)
    assert {row["who"] for row in exported(root, f"?who={person.pk}")} == {person.username}
    assert {row["who"] for row in exported(root, "?who=nobody")} == {"FeatureHub, a command or the API"}
    assert {row["kind"] for row in exported(root, "?kind__exact=tasks")} == {"Periodic tasks"}
    assert exported(root, "?at_from=2999-01-01") == []
    assert {row["object"] for row in exported(root, "?q=pets")} == {"pets"}
    assert root.get(LIST + "?q=pets&kind__exact=definitions").status_code == 200
    assert root.get(LIST + "?who=x&at_from=never").status_code == 200


def test_pages_follow_one_another(root: Client) -> None:
    for number in range(60):
        create_api_key(f"key{number}", scopes=["read"])
    first, second = (root.get(f"{LIST}?p={page}").content.decode() for page in (1, 2))
    assert "key59 " in first
    assert "key0 " in second
    assert len(exported(root, "?p=2&q=key")) == 60


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)"])
def test_no_exported_cell_is_a_formula(root: Client, name: str) -> None:
    create_api_key(name, scopes=["read"])
    [row] = exported(root, "?kind__exact=api_keys")
    assert row["object"].startswith(f"'{name}")


def test_failed_logins_are_there_for_those_only_who_may_see_them(root: Client) -> None:
    attempt = AccessAttempt.objects.create(
        username="root", ip_address="192.0.2.1", user_agent="x", failures_since_start=1, get_data="", post_data=""
    )
    root.post("/admin/axes/accessattempt/", {"action": "lift", "_selected_action": [attempt.pk]})
    assert "192.0.2.1" in str(exported(root))
    assert "192.0.2.1" not in str(exported(log_in("viewer")))
    assert "192.0.2.1" in str(exported(log_in("operator")))


def test_who_has_no_role_sees_no_log() -> None:
    nobody = log_in()
    assert nobody.get(LIST).status_code == nobody.get(EXPORT).status_code == 403


def test_a_removed_tombstone_keeps_its_reason_in_the_log(root: Client) -> None:
    add_tombstone("c1")
    DirtyCustomer.objects.all().delete()  # the erasure is finished
    tombstone = ErasedCustomer.objects.get()
    root.post(f"/admin/events/erasedcustomer/{tombstone.pk}/allow_again/", {"reason": "They came back"})
    [row] = exported(root, "?kind__exact=erasures")
    assert (row["what"], row["why"]) == ("Allowed the customer id again.", "They came back")
