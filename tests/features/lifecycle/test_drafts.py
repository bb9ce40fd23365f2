"""Drafts of versions: the contents of a new draft, and changes until it leaves that state."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from features.lifecycle import drafts
from features.models import FeatureDefinition, FeatureVersion
from tests.factories import make_definition, make_version

pytestmark = pytest.mark.django_db


def names_of(version: FeatureVersion) -> set[str]:
    return set(version.definitions.values_list("name", flat=True))


def live(feature_type: str) -> FeatureVersion:
    return FeatureVersion.objects.get(feature_type=feature_type, state="live")


def steps_of(version: FeatureVersion) -> list[tuple[str, str | None, str]]:
    return [(step.state, step.by.username if step.by else None, step.reason) for step in version.steps.all()]


def test_a_draft_starts_from_the_live_version() -> None:
    ann = User.objects.create_user("ann")
    FeatureVersion.objects.filter(pk=live("behavioral").pk).update(time_to_live=90)
    version = drafts.draft_version("behavioral", "2.0", by=ann, reason="A shoe feature")
    assert (version.state, version.time_to_live, version.inputs) == ("draft", 90, {})
    assert names_of(version) == names_of(live("behavioral"))
    assert steps_of(version) == [("draft", "ann", "From behavioral:1.0. A shoe feature")]


def test_a_draft_may_start_from_another_version() -> None:
    make_version("behavioral", "2.0", logins_7d={"event_type": "login"})
    version = drafts.draft_version("behavioral", "3.0", based_on="2.0", by=None, reason="More")
    assert "logins_7d" in names_of(version)


def test_a_derived_draft_is_computed_from_what_is_live() -> None:
    make_version("behavioral", "2.0", state="live")
    version = drafts.draft_version("derived", "1.1", by=None, reason="On the new behavioral")
    assert version.inputs == {"behavioral": "2.0", "contextual": "1.0", "customer": "1.0"}
    assert live("derived").inputs["behavioral"] == "1.0"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        ("1.0", "newest version is behavioral:1.9"),
        ("1.9", "newest version is behavioral:1.9"),
        ("1.9.0", "newest version is behavioral:1.9"),
        ("0.10", "newest version is behavioral:1.9"),
        ("two", "looks like 1.0"),
        ("1.", "looks like 1.0"),
        ("٢.0", "looks like 1.0"),
        ("", "looks like 1.0"),
        ("1.0\n", "looks like 1.0"),
        ("9" * 17, "looks like 1.0"),
    ],
)
def test_a_number_is_greater_than_all_before(number: str, sentence: str) -> None:
    make_version("behavioral", "1.9")
    with pytest.raises(InvalidError, match=sentence) as caught:
        drafts.draft_version("behavioral", number, by=None, reason="Again")
    assert caught.value.attr == "number"


def test_numbers_are_compared_as_numbers() -> None:
    make_version("behavioral", "1.9")
    assert drafts.draft_version("behavioral", "1.10", by=None, reason="Next").number == "1.10"
    assert drafts.next_number("behavioral") == "2.0"
    assert drafts.next_number("derived") == "2.0"


def test_a_draft_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownError, match=r"behavioral:7\.0"):
        drafts.draft_version("behavioral", "8.0", based_on="7.0", by=None, reason="Try")
    with pytest.raises(UnknownError, match="invented:live"):
        drafts.draft_version("invented", "1.0", by=None, reason="Try")


def test_a_draft_needs_a_reason() -> None:
    with pytest.raises(InvalidError, match="Say why"):
        drafts.draft_version("behavioral", "2.0", by=None, reason=" ")


def test_features_come_and_go_in_a_draft_and_each_is_noted() -> None:
    version = make_version("behavioral")
    made = make_definition("logins_7d", "behavioral")
    drafts.add_definitions(version.pk, [made], by=None)
    assert "logins_7d" in names_of(version)
    drafts.remove_definition(version.pk, made, by=None)
    assert "logins_7d" not in names_of(version)
    assert [reason for _, _, reason in steps_of(version)[1:]] == ["Added logins_7d.", "Removed logins_7d."]


def test_a_feature_of_another_type_is_not_added() -> None:
    with pytest.raises(InvalidError, match="customer feature"):
        drafts.add_definitions(make_version("behavioral").pk, [make_definition()], by=None)


@pytest.mark.parametrize("state", ["shadow", "live", "deprecated", "retired"])
def test_a_computed_version_past_draft_keeps_its_features(state: str) -> None:
    version = make_version("behavioral", state=state)
    made = make_definition("logins_7d", "behavioral")
    with pytest.raises(ConflictError, match=state):
        drafts.add_definitions(version.pk, [made], by=None)
    with pytest.raises(ConflictError, match=state):
        drafts.remove_definition(version.pk, version.definitions.first(), by=None)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match="in a draft only"), transaction.atomic():
        version.definitions.add(made)
    with pytest.raises(IntegrityError, match="in a draft only"), transaction.atomic():
        version.definitions.clear()


@pytest.mark.parametrize("state", ["shadow", "live", "deprecated"])
def test_what_clients_write_is_added_to_at_any_time_and_nothing_taken_away(state: str) -> None:
    version = make_version("customer", state=state)
    made = make_definition("pets", "customer")
    drafts.add_definitions(version.pk, [made], by=None)
    assert "pets" in names_of(version)
    assert steps_of(version)[-1] == (state, None, "Added pets.")
    with pytest.raises(ConflictError):
        drafts.remove_definition(version.pk, made, by=None)


def test_nothing_is_added_to_a_retired_version() -> None:
    with pytest.raises(ConflictError, match="retired by now"):
        drafts.add_definitions(make_version("customer", state="retired").pk, [make_definition()], by=None)


def test_the_inputs_of_a_derived_draft_are_chosen() -> None:
    version = make_version("derived")
    make_version("behavioral", "2.0", state="shadow")
    drafts.set_inputs(version.pk, {"behavioral": "2.0"}, by=None, reason="Try the new one")
    version.refresh_from_db()
    assert version.inputs == {"behavioral": "2.0"}
    assert steps_of(version)[-1][2] == "Computed from behavioral:2.0. Try the new one"


@pytest.mark.parametrize("inputs", [{"behavioral": "7.0"}, {"derived": "1.0"}, {"invented": "1.0"}])
def test_an_input_is_a_version_of_another_type(inputs: dict[str, str]) -> None:
    with pytest.raises(InvalidError, match="can't be an input"):
        drafts.set_inputs(make_version("derived").pk, inputs, by=None, reason="Try")


def test_only_derived_versions_have_inputs() -> None:
    with pytest.raises(InvalidError, match="computed from no other version"):
        drafts.set_inputs(make_version("behavioral").pk, {"customer": "1.0"}, by=None, reason="Try")


def test_inputs_are_fixed_when_a_version_leaves_its_draft() -> None:
    version = make_version("derived", state="shadow")
    with pytest.raises(ConflictError, match="shadow"):
        drafts.set_inputs(version.pk, {"behavioral": "1.0"}, by=None, reason="Try")
    with pytest.raises(IntegrityError, match="as a draft only"), transaction.atomic():
        FeatureVersion.objects.filter(pk=version.pk).update(inputs={})


@pytest.mark.parametrize("state", ["draft", "shadow", "live", "deprecated"])
def test_the_time_to_live_may_be_changed_until_the_end(state: str) -> None:
    version = make_version("contextual", state=state)
    drafts.set_time_to_live(version.pk, 1_800, by=None, reason="Carts are forgotten")
    version.refresh_from_db()
    assert version.time_to_live == 1_800
    assert steps_of(version)[-1] == (state, None, "Values expire after 1,800 s. Carts are forgotten")
    drafts.set_time_to_live(version.pk, None, by=None, reason="No")
    version.refresh_from_db()
    assert version.time_to_live is None


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_a_time_to_live_is_of_a_size_that_makes_sense(seconds: int) -> None:
    with pytest.raises(InvalidError, match="between 1 second and 366 days"):
        drafts.set_time_to_live(live("contextual").pk, seconds, by=None, reason="Try")


def test_a_draft_can_be_discarded_and_nothing_else() -> None:
    version = make_version("behavioral")
    drafts.discard(version.pk, by=None, reason="A test")
    assert not FeatureVersion.objects.filter(pk=version.pk).exists()
    with pytest.raises(ConflictError, match="live by now"):
        drafts.discard(live("behavioral").pk, by=None, reason="A test")


@pytest.mark.parametrize(
    "change",
    [
        lambda row: FeatureDefinition.objects.filter(pk=row.pk).update(window_hours=169),
        lambda row: FeatureDefinition.objects.filter(pk=row.pk).update(name="other"),
        lambda row: FeatureDefinition.objects.filter(pk=row.pk).update(kind="", window_hours=None),
    ],
)
def test_what_a_name_means_does_not_change_past_draft(change: Callable[[FeatureDefinition], int]) -> None:
    version = make_version("behavioral", logins_7d={"event_type": "login"})
    row = version.definitions.get(name="logins_7d")
    change(row)
    version = make_version("behavioral", "3.0", clicks_7d={"event_type": "email_click"}, state="shadow")
    with pytest.raises(IntegrityError, match="what it means does not change"), transaction.atomic():
        change(version.definitions.get(name="clicks_7d"))
