"""Definitions files are planned and applied: what is made, changed and archived, and that nothing goes live by it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from events.models import EventType
from events.registration import archive_event_type
from features.as_code.changes import Applied
from features.lifecycle import drafts
from features.lifecycle.feature_sets import make_feature_set
from features.lifecycle.version_steps import put_into_shadow
from features.lifecycle.weight_set_steps import activate
from features.models import ActivityLogEntry, FeatureDefinition, FeatureSet, FeatureVersion, Weight, WeightSet
from features.registry.snapshot import load_registry, registry_snapshot
from tests.api_client import ApiClient
from tests.factories import make_definition, make_event_type, make_version
from tests.features.as_code.files import TRIALS, apply, outcomes, plan

MADE = [
    "made event type trial_started",
    "made definition trials_6h",
    "made definition churn_score",
    "made definition trial_share",
    "made version behavioral:2.0",
    "made version customer:2.0",
    "made version derived:2.0",
    "made feature set trial_model:3",
    "made weights of behavioral:1.0",
]


def rows_of_everything() -> dict[str, list[Any]]:
    """Return all rows that a file is about, and the recorded steps."""
    tables = [
        "events_eventtype", "features_featuredefinition", "features_featureversion", "features_featureversionstep",
        "features_featureversion_definitions", "features_featureset", "features_weightset", "features_weight",
        "features_weightsetstep",
    ]  # fmt: skip
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            cursor.execute(f"select t::text from {table} t order by 1")  # noqa: S608
            found[table] = cursor.fetchall()
    return found


# --- Making -------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_would_be_made_and_changes_nothing(db: None) -> None:
    before = rows_of_everything()
    assert outcomes(plan(TRIALS)) == MADE
    assert rows_of_everything() == before


def test_an_apply_makes_just_that_and_a_plan_after_it_finds_nothing(db: None) -> None:
    assert outcomes(apply(TRIALS)) == MADE
    assert plan(TRIALS) == []
    trials = FeatureDefinition.objects.get(name="trials_6h")
    assert (trials.kind, trials.event_type, trials.window_hours) == ("count", "trial_started", 6)
    made = FeatureSet.objects.get(name="trial_model")
    assert (made.number, made.names) == (3, ["trials_6h", "engagement_score", "trial_share"])
    assert (made.versions, made.reason) == ({"behavioral": "2.0", "derived": "2.0"}, "The model of May")
    derived = FeatureVersion.objects.get(feature_type="derived", number="2.0")
    assert derived.inputs == {"behavioral": "2.0", "customer": "2.0"}
    assert FeatureVersion.objects.get(feature_type="customer", number="2.0").time_to_live == 86_400


def test_applied_twice_it_changes_nothing(db: None) -> None:
    apply(TRIALS)
    before = rows_of_everything()
    assert apply(TRIALS) == []
    assert rows_of_everything() == before


def test_nothing_goes_live_by_it(db: None) -> None:
    live = load_registry().live
    apply(TRIALS)
    assert load_registry().live == live
    assert set(FeatureVersion.objects.filter(number="2.0").values_list("state", flat=True)) == {"draft"}
    drafted = WeightSet.objects.get(name="Trials first")
    assert (drafted.state, drafted.activated_at, drafted.version.number) == ("draft", None, "1.0")
    assert drafted.monetary_norm == 500
    numbers = {row.event_type: (row.weight, row.norm) for row in Weight.objects.filter(weight_set=drafted)}
    assert numbers["trial_started"] == (0.7, 2.0)
    assert numbers["page_view"] == (0.0, 100.0)


def test_what_is_applied_goes_the_usual_way_from_there(db: None) -> None:
    apply(TRIALS)
    for feature_type in ("customer", "behavioral"):
        version = FeatureVersion.objects.get(feature_type=feature_type, number="2.0")
        put_into_shadow(version.pk, by=None, reason="A test")
    derived = FeatureVersion.objects.get(feature_type="derived", number="2.0")
    put_into_shadow(derived.pk, by=None, reason="A test")
    activate(WeightSet.objects.get(name="Trials first").pk, by=None, reason="A test")
    assert plan(TRIALS) == []
    assert load_registry().sets["trial_model:3"].pins == ("behavioral:2.0", "derived:2.0")


def test_steps_are_recorded_with_the_person_and_the_reason(db: None) -> None:
    ann = User.objects.create_user("ann", is_staff=True)
    apply(TRIALS, Applied(by=ann, reason="Release 12", file="trials.yaml"))
    version = FeatureVersion.objects.get(feature_type="customer", number="2.0")
    steps = list(version.steps.values_list("by", "reason"))
    assert steps[0] == (ann.pk, "From customer:1.0. Release 12")
    assert ("Release 12" in reason for _, reason in steps)
    assert FeatureSet.objects.get(name="trial_model").made_by == ann
    drafted = WeightSet.objects.get(name="Trials first")
    assert (drafted.created_by, drafted.reason) == (ann, "Release 12")


def test_the_activity_log_has_the_file_with_what_became_of_each_part(db: None) -> None:
    ann = User.objects.create_user("ann", is_staff=True)
    apply("event_types: {trial_started: {}, login: {label: Log in}}", Applied(by=ann, reason="Trials", file="t.yaml"))
    entry = ActivityLogEntry.objects.get(source="applied")
    assert (entry.person, entry.kind, entry.subject, entry.why) == (ann, "definitions", "t.yaml", "Trials")
    assert entry.what == ("Applied a file of definitions: made event type trial_started; changed event type login.")
    apply("event_types: {trial_started: {}}")
    assert ActivityLogEntry.objects.filter(source="applied").count() == 1


def test_what_the_file_does_not_name_stays(db: None) -> None:
    make_event_type("beta_opened")
    make_definition("pets")
    make_feature_set("churn_model", names=["recency_score"])
    assert outcomes(apply("event_types: {trial_started: {}}")) == ["made event type trial_started"]
    assert EventType.objects.get(name="trial_started").label == "Trial started"
    assert plan("event_types: {trial_started: {}}") == []
    assert apply("") == []
    assert apply("event_types:\nsets:\n") == []


# --- Changing -----------------------------------------------------------------------------------------------------


def test_an_event_type_is_described_archived_and_restored(db: None) -> None:
    make_event_type("beta_opened")
    (change,) = apply("event_types: {beta_opened: {label: Beta, archived: true}}")
    assert change.outcome == "archived"
    assert EventType.objects.get(name="beta_opened").archived_at is not None
    (change,) = apply("event_types: {beta_opened: {label: Beta test, description: The button}}")
    assert change.outcome == "changed"
    found = EventType.objects.get(name="beta_opened")
    assert (found.label, found.description, found.archived_at) == ("Beta test", "The button", None)


def test_a_type_can_be_made_archived(db: None) -> None:
    apply("event_types: {beta_opened: {archived: true}}")
    assert EventType.objects.get(name="beta_opened").archived_at is not None


def test_words_about_a_feature_change_in_any_version(db: None) -> None:
    text = """
        definitions:
          cart_value: {type: contextual, description: Net, owner: Shop, unit: currency, tags: [a, b], minimum: 0}
    """
    (change,) = apply(text)
    assert change.text().splitlines() == [
        "~ changed: definition cart_value (line 3)",
        "     type: contextual",
        "-    description: Value of what is in the cart now",
        "-    owner: FeatureHub",
        "+    description: Net",
        "+    owner: Shop",
        "     unit: currency",
        "+    tags:",
        "+      - a",
        "+      - b",
        "     minimum: 0",
    ]
    found = FeatureDefinition.objects.get(name="cart_value")
    assert (found.description, found.owner, found.tags, found.minimum) == ("Net", "Shop", ["a", "b"], 0.0)


def test_the_meaning_changes_as_long_as_only_drafts_have_it(db: None) -> None:
    apply(TRIALS)
    wider = TRIALS.replace("window: 6h", "window: 12h")
    assert outcomes(apply(wider)) == ["changed definition trials_6h"]
    assert FeatureDefinition.objects.get(name="trials_6h").window_hours == 12


def test_a_draft_takes_the_features_inputs_and_time_to_live_of_the_file(db: None) -> None:
    apply(TRIALS)
    other = TRIALS.replace("[churn_score, tenure_days]", "[churn_score]").replace("86400", "3600")
    other = other.replace("[engagement_score, trials_6h]", "[login_frequency, engagement_score, trials_6h]")
    assert outcomes(apply(other)) == ["changed version behavioral:2.0", "changed version customer:2.0"]
    version = FeatureVersion.objects.get(feature_type="customer", number="2.0")
    assert (version.time_to_live, [str(row) for row in version.definitions.all()]) == (3_600, ["churn_score"])
    assert "Removed tenure_days. A test" in version.steps.values_list("reason", flat=True)
    assert plan(other) == []


def test_features_that_clients_write_are_added_to_a_live_version(db: None) -> None:
    text = """
        definitions: {pets: {type: customer}}
        versions: {customer:1.0: {features: [loyalty_tier, pets, tenure_days]}}
    """
    (_, change) = apply(text)
    assert (change.outcome, change.note) == ("changed", "customer:1.0 is live: clients can write pets at once.")
    assert "pets" in load_registry().views["customer", "1.0"].names


def test_other_words_for_the_same_are_no_difference(db: None) -> None:
    text = """
        event_types: {trial_started: {label: Trial started, description: ""}}
        definitions: {trials: {type: behavioral, kind: count, window: 24h, category: null, default: 0, tags: []}}
        versions: {behavioral:2.0: {features: [trials], inputs: []}}
    """
    apply(text)
    assert plan(text) == []
    assert (
        plan(text.replace("24h", "1d").replace("label: Trial started, ", "").replace("default: 0", "default: 0.0"))
        == []
    )
    assert outcomes(plan(text.replace("24h", "25h"))) == ["changed definition trials"]


def test_the_order_of_features_versions_and_inputs_says_nothing_but_that_of_a_set_does(db: None) -> None:
    apply(TRIALS)
    text = TRIALS.replace("[engagement_score, trials_6h]", "[trials_6h, engagement_score]")
    text = text.replace("[behavioral:2.0, customer:2.0]", "[customer:2.0, behavioral:2.0]")
    text = text.replace("[behavioral:2.0, derived:2.0]", "[derived:2.0, behavioral:2.0]")
    assert plan(text) == []
    text = TRIALS.replace("[trials_6h, engagement_score, trial_share]", "[engagement_score, trials_6h, trial_share]")
    assert outcomes(plan(text)) == ["refused feature set trial_model:3"]


def test_weights_that_are_active_or_wait_are_not_drafted_again(db: None) -> None:
    weights = """
        weights:
          behavioral:1.0:
            name: Other
            event_types: {login: {weight: 1, norm: 30}}
    """
    apply(weights)
    assert plan(weights) == []
    first = WeightSet.objects.get(name="Other")
    activate(first.pk, by=None, reason="A test")
    assert plan(weights) == []
    other = weights.replace("weight: 1,", "weight: 2,")
    activate_of(apply(other))
    assert outcomes(plan(weights)) == ["made weights of behavioral:1.0"]


def activate_of(changes: list[Any]) -> None:
    assert outcomes(changes) == ["made weights of behavioral:1.0"]
    newest = WeightSet.objects.first()
    assert newest is not None
    activate(newest.pk, by=None, reason="A test")


# --- Refusing -----------------------------------------------------------------------------------------------------


def shadow_with_logins() -> None:
    make_version("behavioral", state="shadow", logins_7d={"kind": "count", "event_type": "login", "window": "7d"})


def set_of_two() -> None:
    make_feature_set("churn_model", names=["recency_score", "login_frequency"])
    make_feature_set("churn_model", names=["recency_score"])


def archived_beta() -> None:
    make_event_type("beta_opened")
    archive_event_type("beta_opened")


@pytest.mark.parametrize(
    ("prepare", "text", "words"),
    [
        (shadow_with_logins,
         "definitions: {logins_7d: {type: behavioral, kind: count, event_type: login, window: 6h}}",
         "behavioral:2.0 is shadow and has it, so that what it means does not change"),
        (None, "definitions: {cart_value: {type: customer}}", "cart_value is a contextual feature here, for good"),
        (None, "definitions: {cart_value: {type: contextual, default: 5, minimum: 0}}",
         "It would take effect at once, as contextual:1.0 is live: change it on its page in the admin"),
        (None, "versions: {behavioral:1.0: {features: [engagement_score]}}",
         "behavioral:1.0 is live, so that its features and inputs do not change: write it as behavioral:2.0."),
        (None, "versions: {customer:1.0: {features: [loyalty_tier, tenure_days], time_to_live: 60}}",
         "It would take effect at once, as customer:1.0 is live"),
        (None, "versions: {customer:1.0: {features: [loyalty_tier]}}", "customer:1.0 is live"),
        (None, "versions: {behavioral:0.5: {features: [engagement_score]}}", "The newest version is behavioral:1.0"),
        (set_of_two, "sets: {churn_model:1: {features: [recency_score], versions: [behavioral:1.0]}}",
         "churn_model:1 was made, and a set never changes: write it as churn_model:3."),
        (None, "sets: {m:1: {features: [recency_score, cart_value], versions: [behavioral:1.0]}}",
         "A set pins one version of each type of its features: behavioral and contextual."),
        (shadow_with_logins, "sets: {m:1: {features: [logins_7d], versions: [behavioral:1.0]}}",
         "logins_7d is not in behavioral:1.0"),
        (None, "definitions: {pets: {type: customer, list_place: 1}}",
         "engagement_score has the place 1 in customer lists: choose another"),
    ],
)  # fmt: skip
def test_what_is_frozen_is_refused_with_what_to_do_and_nothing_is_applied(
    db: None, prepare: Callable[[], None] | None, text: str, words: str
) -> None:
    if prepare is not None:
        prepare()
    before = rows_of_everything()
    # Something that could be made is not made, either.
    file = f"event_types: {{trial_started: {{}}}}\n{text}\n"
    (_, refused) = plan(file)
    assert (refused.outcome, refused.line) == ("refused", 2)
    assert words in refused.note
    with pytest.raises(Exception, match="refused") as raised:
        apply(file)
    assert words in str(raised.value)
    assert rows_of_everything() == before


def test_a_draft_keeps_what_a_set_takes_of_it(db: None) -> None:
    apply(TRIALS)
    text = TRIALS.replace("[engagement_score, trials_6h]", "[trials_6h]")
    (refused,) = plan(text)
    assert "The feature set trial_model:3 takes engagement_score of behavioral:2.0" in refused.note
    version = FeatureVersion.objects.get(feature_type="behavioral", number="2.0")
    trials = FeatureDefinition.objects.get(name="trials_6h")
    with pytest.raises(Exception, match="a set never changes"):
        drafts.remove_definition(version.pk, trials, by=None)
    with pytest.raises(Exception, match="a set never changes"):
        drafts.discard(version.pk, by=None, reason="A test")


def test_a_set_of_a_draft_can_be_read_as_soon_as_that_is_in_shadow(api: ApiClient) -> None:
    apply(TRIALS)
    text = "/api/v1/customers/c1/features/?set=trial_model:3"
    refused = api.get(text)
    assert refused.status_code == 404
    assert "trial_model:3 pins behavioral:2.0 and derived:2.0, still a draft" in refused.json()["errors"][0]["detail"]
    for feature_type in ("customer", "behavioral", "derived"):
        version = FeatureVersion.objects.get(feature_type=feature_type, number="2.0")
        put_into_shadow(version.pk, by=None, reason="A test")
    registry_snapshot.forget()
    assert list(api.get(text).json()["features"]) == ["trials_6h", "engagement_score", "trial_share"]


def test_the_number_to_write_is_free_in_the_file_too(db: None) -> None:
    apply(TRIALS)
    text = TRIALS + "  behavioral:2.0: {name: x, event_types: {login: {weight: 1, norm: 1}}}\n"
    text = text.replace("versions:\n", "versions:\n  behavioral:1.0: {features: [engagement_score]}\n", 1)
    text = text.replace("[trials_6h, engagement_score, trial_share]", "[trials_6h, trial_share]")
    refused = [change.note for change in plan(text) if change.outcome == "refused"]
    assert refused[0].endswith("write it as behavioral:3.0.")
    assert refused[1].endswith("write it as trial_model:4.")


def test_a_retired_version_stays_retired(db: None) -> None:
    make_version("behavioral", state="retired")
    (refused,) = plan("versions: {behavioral:2.0: {features: [engagement_score]}}")
    assert refused.note == "behavioral:2.0 is retired for good: write it as behavioral:3.0."
