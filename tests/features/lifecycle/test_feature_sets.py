"""Feature sets: made, numbered, kept as they are, and asked about before a version that they pin is retired."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from featurehub.access.models import create_api_key
from featurehub.lib.errors import FeatureHubError, InvalidError, UnknownError
from features.lifecycle import version_steps
from features.lifecycle.feature_sets import make_feature_set
from features.lifecycle.shown import shown_of
from features.lifecycle.uses import StillUsedError
from features.models import ActivityLogEntry, FeatureSet, FeatureSetUse, FeatureVersion
from features.registry.snapshot import fingerprint, registry_snapshot
from tests.at_once import at_once
from tests.factories import ago, make_definition, make_version
from tests.staff import log_in

NAMES = ["cart_value", "engagement_score", "recency_score"]


def make(name: str = "churn_model", *, names: list[str] = NAMES, **fields: Any) -> FeatureSet:
    return make_feature_set(name, names=names, **fields).feature_set


def live(feature_type: str) -> FeatureVersion:
    return FeatureVersion.objects.get(feature_type=feature_type, state="live")


# --- Making -------------------------------------------------------------------------------------------------------


def test_a_set_has_its_names_in_their_order_pinned_to_the_versions_that_are_live(db: None) -> None:
    made = make_feature_set("churn_model", names=NAMES, reason="The model of May")
    found = made.feature_set
    assert (str(found), made.is_new, found.names) == ("churn_model:1", True, NAMES)
    assert found.versions == {"behavioral": "1.0", "contextual": "1.0"}
    assert (found.reason, found.made_by, found.made_with) == ("The model of May", None, None)


def test_a_version_can_be_chosen(db: None) -> None:
    make_version("behavioral", state="shadow")
    assert make(versions=["behavioral:2.0"]).versions == {"behavioral": "2.0", "contextual": "1.0"}
    assert make(versions=["2.0"]).versions["behavioral"] == "2.0"


def test_the_number_counts_up_for_each_name(db: None) -> None:
    made = [make(), make(names=NAMES[:2]), make("lead_model"), make(names=NAMES[::-1])]
    assert [str(row) for row in made] == ["churn_model:1", "churn_model:2", "lead_model:1", "churn_model:3"]


def test_a_set_that_equals_the_newest_of_its_name_is_not_made_again(db: None) -> None:
    first = make()
    again = make_feature_set("churn_model", names=NAMES, reason="Again")
    assert (again.feature_set, again.is_new) == (first, False)
    make(names=NAMES[:1])
    assert str(make()) == "churn_model:3"


def test_another_live_version_makes_another_set(db: None) -> None:
    make()
    make_version("behavioral", state="live")
    assert make().versions == {"behavioral": "2.0", "contextual": "1.0"}
    assert FeatureSet.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "attr", "sentence"),
    [
        ({"names": ["engagement_scor"]}, "names",
         "There is no feature engagement_scor. Did you mean engagement_score?"),
        ({"names": []}, "names", "A set has 1 to 500 features, not 0."),
        ({"names": [f"name{n}" for n in range(501)]}, "names", "A set has 1 to 500 features, not 501."),
        ({"names": ["cart_value", "cart_value"]}, "names", "cart_value is there more than once."),
        ({"name": "Churn"}, "name", "A set's name begins with a letter"),
        ({"name": "a" * 65}, "name", "at most 64"),
        ({"name": "churn_model\n"}, "name", "A set's name begins with a letter"),
        ({"name": ""}, "name", "A set's name begins with a letter"),
        ({"versions": ["1.0", "behavioral:2.0"]}, "version", "Two versions of behavioral are requested."),
        ({"versions": ["customer:1.0"]}, "version", "The set has no feature of customer:1.0: leave that out, or add"),
        ({"versions": ["contextual:7.0"]}, "version", "contextual:7.0 is a draft: put it into shadow first."),
        ({"versions": ["customer:2.0"]}, "version", "customer:2.0 is retired, so that nobody can read it."),
        ({"names": ["logins_7d"]}, "names", "logins_7d is not in behavioral:1.0, to which it would be pinned; "
         "it is in behavioral:2.0: give that as a version."),
        ({"names": ["in_draft"]}, "names", "in_draft is not in contextual:1.0, to which it would be pinned; "
         "it is in contextual:7.0 only, which is a draft: put it into shadow first."),
        ({"names": ["was_there"]}, "names",
         "it is in customer:2.0 only, which is retired, so that nobody can read it."),
        ({"names": ["nowhere"]}, "names", "it is in no version: add it to one first."),
    ],
)  # fmt: skip
def test_what_can_not_be_read_together_is_refused(db: None, fields: dict[str, Any], attr: str, sentence: str) -> None:
    make_version("behavioral", logins_7d={"event_type": "login", "window": "7d"}, state="shadow")
    make_version("contextual", "7.0", in_draft={})
    make_version("customer", was_there={}, state="retired")
    make_definition("nowhere")
    with pytest.raises(InvalidError) as caught:
        make(**fields)
    assert sentence in caught.value.detail
    assert (caught.value.attr, FeatureSet.objects.count()) == (attr, 0)


def test_a_version_that_is_not_there_is_unknown(db: None) -> None:
    with pytest.raises(
        UnknownError, match=r"There is no readable version 9\.0; the readable ones are behavioral:1\.0\."
    ):
        make(versions=["9.0"])


def test_a_set_does_not_change_and_is_not_deleted(db: None) -> None:
    made = make()
    for change in (
        lambda: FeatureSet.objects.update(names=["tenure_days"]),
        lambda: FeatureSet.objects.update(versions={}),
        lambda: FeatureSet.objects.update(reason="Another"),
        made.delete,
    ):
        with pytest.raises(IntegrityError, match="it does not change, and is not deleted"), transaction.atomic():
            change()
    assert FeatureSet.objects.get().names == NAMES


def test_the_process_that_made_it_knows_it_at_once(db: None, django_capture_on_commit_callbacks: Any) -> None:
    assert registry_snapshot.get().sets == {}
    with django_capture_on_commit_callbacks(execute=True):
        make()
    assert registry_snapshot.get().sets["churn_model:1"].pins == ("behavioral:1.0", "contextual:1.0")


def test_the_fingerprint_tells_the_other_processes(db: None) -> None:
    before = fingerprint()
    make()
    assert fingerprint() != before


def test_sets_made_at_once_get_a_number_each_and_equal_ones_are_one(committed: None) -> None:
    def making(name: str, size: int) -> Callable[[], str]:
        return lambda: str(make(name, names=NAMES[:size]))

    assert sorted(at_once(*(making("lead_model", size) for size in (1, 2, 3)))) == [
        "lead_model:1", "lead_model:2", "lead_model:3",
    ]  # fmt: skip
    assert at_once(*[making("churn_model", 2)] * 3) == ["churn_model:1"] * 3


def test_of_a_set_and_the_end_of_its_version_at_once_one_is_told(committed: None) -> None:
    version = make_version("behavioral", state="shadow")

    def attempt(step: Callable[[], object]) -> Callable[[], str]:
        def run() -> str:
            try:
                step()
            except FeatureHubError as error:
                return error.code
            return "done"

        return run

    answers = at_once(
        attempt(lambda: make(versions=["behavioral:2.0"])),
        attempt(lambda: version_steps.retire(version.pk, by=None, reason="Old")),
    )
    assert list(answers) in (["done", "still_used"], ["invalid", "done"])


def test_the_activity_log_has_who_made_which_set_and_why(db: None) -> None:
    log_in("operator")
    key, _ = create_api_key("ci", scopes=["write"])
    make(reason="The model of May", key_id=key.pk)
    (entry,) = ActivityLogEntry.objects.filter(kind="feature_sets")
    assert (entry.subject, entry.what, entry.why) == ("churn_model:1", "Made with the API key ci.", "The model of May")
    assert entry.model_name == "featureset"


# --- Retiring a version that sets pin -----------------------------------------------------------------------------


def test_a_version_that_sets_pin_is_not_retired_before_that_is_confirmed(db: None) -> None:
    version = make_version("behavioral", state="shadow")
    unread, read = (make(names=NAMES[1:size], versions=["behavioral:2.0"]) for size in (2, 3))
    for name, days in (("scorer", 1), ("gone", 8)):
        key, _ = create_api_key(name, scopes=["read"])
        FeatureSetUse.objects.create(api_key=key, feature_set=read, used_at=ago(days=days))
    make("not_pinning")
    with pytest.raises(StillUsedError) as caught:
        version_steps.retire(version.pk, by=None, reason="Old")
    assert caught.value.detail == (
        "Feature sets pin behavioral:2.0: churn_model:2 (read by scorer), churn_model:1 (not read in the last 7 days). "
        "They can't be read without it."
    )
    assert [pinned.feature_set for pinned in caught.value.sets] == [read, unread]
    version_steps.retire(version.pk, by=None, reason="They know", confirmed=True)
    with pytest.raises(InvalidError, match="is retired"):
        make(names=NAMES[1:2], versions=["behavioral:2.0"])


def test_the_page_of_the_step_shows_them_so_that_one_made_since_is_noticed(db: None) -> None:
    version = make_version("behavioral", state="shadow")
    assert "Feature sets that pin it" not in shown_of(version)
    make(versions=["behavioral:2.0"])
    assert shown_of(version)["Feature sets that pin it"] == "churn_model:1 (not read in the last 7 days)"
