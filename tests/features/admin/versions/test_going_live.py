"""A version goes live with the weights that the person chose, and whoever works on weights finds them there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from features.lifecycle import version_steps, weight_set_steps
from features.materialization import rescore, runs
from features.models import FeatureVersion, Run, WeightSet
from features.registry.snapshot import registry_snapshot
from features.registry.weight_sets import active_set, as_weights
from features.serving.explanation import under_drafts
from features.serving.feature_store import get_feature_values
from tests.factories import ago, make_customer, make_version, make_weight_set
from tests.staff import log_in, take_step, text_of

pytestmark = pytest.mark.django_db
VERSIONS = "/admin/features/featureversion/"
SETS = "/admin/features/weightset/"


@pytest.fixture
def operator() -> Client:
    return log_in("operator", "marketer")


def score(customer_id: str = "c1") -> float:
    """Return the score as a reader gets it who asks for no version."""
    registry_snapshot.forget()
    return get_feature_values([customer_id], names=["engagement_score"])[0].features["engagement_score"]


def score_everybody() -> None:
    """Do what workers do with the runs of new weights."""
    for run in Run.objects.filter(kind=Run.Kind.RESCORE, state=Run.State.RUNNING).order_by("pk"):
        while rescore.rescore(run):
            pass
        assert runs.finish_rescore(run)


def let_the_moment_come(version: FeatureVersion) -> None:
    """Let the moment pass at which readers are switched to the version, if one is set."""
    changed = FeatureVersion.objects.filter(pk=version.pk, live_from__isnull=False)
    changed.update(live_from=ago(seconds=0.5))


@pytest.fixture
def newer_weights() -> FeatureVersion:
    """Put behavioral 2.0 into shadow, then activate other weights in 1.0. Return 2.0."""
    make_customer("c1", page_view=50, login=3)
    make_customer("c2", purchase=10)
    version = make_version("behavioral", state="shadow")
    runs.catch_up()
    score_everybody()
    activated = make_weight_set(name="Views count", weights={"page_view": (0.9, 100.0)})
    weight_set_steps.activate(activated.pk, by=None, reason="They visit more")
    score_everybody()
    return version


def go_live(client: Client, version: FeatureVersion, **data: str) -> str:
    address = f"{VERSIONS}{version.pk}/step/go-live/"
    return text_of(take_step(client, address, follow=True, reason="It is better", **data))


def test_going_live_with_newer_weights_on_the_old_version_changes_no_score_unless_the_person_chose_so(
    operator: Client, newer_weights: FeatureVersion
) -> None:
    version, first = newer_weights, FeatureVersion.objects.get(feature_type="behavioral", number="1.0")
    before = {customer_id: score(customer_id) for customer_id in ("c1", "c2")}
    assert before["c1"] == pytest.approx(0.46)
    drafted, proposed, scheduled = (make_weight_set(name=name) for name in ("Idea", "Proposal", "December"))
    weight_set_steps.propose(proposed.pk, by=None, reason="Ready")
    moment = datetime(2027, 12, 1, 8, tzinfo=UTC)
    weight_set_steps.schedule(scheduled.pk, at=moment, now=ago(), by=None, reason="For the season")

    # 1. The page shows both versions' weights, how scores move, and asks.
    page = text_of(operator.get(f"{VERSIONS}{version.pk}/step/go-live/"))
    assert "The weights differ,</strong> and those of behavioral:1.0 are the newer ones." in page
    assert '<td>0.9</td><td>100</td> <td class="fh-changed">0.3</td>' in page
    assert "Carry over Views count" in page
    assert "no score changes through weights (these are the newer ones)" in page
    assert "Idea (#" in page
    assert "December (#" in page
    chosen = text_of(operator.get(f"{VERSIONS}{version.pk}/step/go-live/?threshold=0.4"))
    assert "Fall below 0.40</th><td>0</td><td>1</td>" in chosen
    assert 'change/">c1</a></th><td>0.460</td><td>0.160</td>' in chosen

    # 2. The newer weights are carried over: readers are switched when everybody is scored with them.
    after = go_live(operator, version)
    assert "everybody is scored with the weights carried over, then readers are switched." in after
    let_the_moment_come(version)
    assert registry_snapshot.get(younger_than=0).live["behavioral"] == "1.0"
    assert {customer_id: score(customer_id) for customer_id in before} == before
    score_everybody()
    let_the_moment_come(version)
    registry_snapshot.forget()
    assert registry_snapshot.get().live["behavioral"] == "2.0"
    assert {customer_id: score(customer_id) for customer_id in before} == before
    assert as_weights(active_set("2.0")) == as_weights(active_set("1.0"))
    assert active_set("2.0").reason.startswith(
        f"The weights of behavioral:1.0, {active_set('1.0')}, for behavioral:2.0."
    )

    # 3. What was worked on is in the version that is live, with its history.
    for weight_set, state in ((drafted, "draft"), (proposed, "proposed"), (scheduled, "scheduled")):
        weight_set.refresh_from_db()
        assert (weight_set.version, weight_set.state) == (version, state)
        assert weight_set.steps.last().reason == "From behavioral:1.0 to behavioral:2.0, which goes live. It is better"
    assert scheduled.activate_at == moment
    assert [step.action for step in scheduled.steps.all()] == ["scheduled", "carried"]
    assert {row.weight_set for row in under_drafts("c1")} == {drafted, proposed, scheduled}
    page = text_of(operator.get(f"{SETS}{scheduled.pk}/change/"))
    assert "Scheduled for behavioral:2.0 (live)" in page
    assert "Becomes active in behavioral:2.0 on 1 Dec 2027, 08:00 UTC." in page
    assert "From behavioral:1.0 to behavioral:2.0" in page

    # 4. A set's state is said with its version, and whether that is live.
    lists = text_of(operator.get(SETS))
    assert "Active in behavioral:2.0 (live)" in lists
    assert "Active in behavioral:1.0 (deprecated)" in lists
    old = active_set("1.0")
    assert "That version is not live" in text_of(operator.get(f"{SETS}{old.pk}/change/"))

    # 5. A copy from the studio, and a new set, are for the version that is live.
    studio = f"{SETS}{old.pk}/studio/"
    assert "A new draft is for behavioral:2.0, the live version." in text_of(operator.get(studio))
    copied = operator.post(studio, {**numbers_of(old), "name": "Copy", "reason": "More", "copy": "1"}, follow=True)
    assert "is saved as a draft for behavioral:2.0" in text_of(copied)
    assert WeightSet.objects.get(name="Copy").version == version

    # 6. The weights change in 2.0 only. Whoever goes back is asked again, and may keep those of 1.0.
    later = make_weight_set(name="Views count less", version=version, weights={"page_view": (0.1, 100.0)})
    weight_set_steps.activate(later.pk, by=None, reason="Too much")
    score_everybody()
    assert score("c1") == pytest.approx(0.06)
    back = f"{VERSIONS}{first.pk}/step/back-to-live/"
    page = text_of(operator.get(back))
    assert f"Keep {old}, the weights that behavioral:1.0 has: scores change as shown above" in page
    assert "Mean score</th><td>" in page
    take_step(operator, back, reason="It was better", weights="keep")
    let_the_moment_come(first)
    assert score("c1") == before["c1"]
    assert active_set("1.0") == old


def numbers_of(weight_set: WeightSet) -> dict[str, Any]:
    """Return a set's numbers as the studio's form sends them."""
    rows = weight_set.weights.all()
    fields = {f"weight_{row.event_type}": row.weight for row in rows}
    fields |= {f"norm_{row.event_type}": row.norm for row in rows}
    return {**fields, "monetary_norm": weight_set.monetary_norm}


def test_a_version_keeps_its_own_weights_where_the_person_chose_so_after_the_page_said_what_changes(
    operator: Client, newer_weights: FeatureVersion
) -> None:
    own = active_set("2.0")
    page = text_of(operator.get(f"{VERSIONS}{newer_weights.pk}/step/go-live/"))
    assert "Customers whose score changes</th><td>0</td><td>1</td>" in page
    assert "readers are switched in 10 seconds." in go_live(operator, newer_weights, weights="keep")
    let_the_moment_come(newer_weights)
    assert active_set("2.0") == own
    assert score("c1") == pytest.approx(0.16)


def test_nothing_is_asked_where_both_versions_have_the_same_weights(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    page = text_of(operator.get(f"{VERSIONS}{version.pk}/step/go-live/"))
    assert "Both versions have the same weights:" in page
    assert "Which weights?" not in page
    assert version_steps.go_live(version.pk, by=None, reason="Go") is None


def test_the_page_names_the_derived_versions_that_go_on_reading_the_old_version(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    address = f"{VERSIONS}{version.pk}/step/go-live/"
    make_version("derived", "2.0", state="draft")
    page = text_of(operator.get(address))
    assert "What goes on reading behavioral:1.0" in page
    assert "derived:1.0</a>, live" in page
    assert "derived:2.0</a>, draft" in page
    assert f'href="{VERSIONS}draft/derived/"' in page
    version_steps.go_live(version.pk, by=None, reason="Go")
    assert FeatureVersion.objects.get(feature_type="derived", state="live").inputs["behavioral"] == "1.0"
    assert make_version("derived", "3.0").inputs["behavioral"] == "2.0"


def test_a_derived_version_that_reads_nothing_of_the_type_is_not_named(operator: Client) -> None:
    version = make_version("contextual", state="shadow")
    assert "goes on reading" not in text_of(operator.get(f"{VERSIONS}{version.pk}/step/go-live/"))


def test_weights_that_were_set_for_the_shadow_later_are_proposed(
    operator: Client, newer_weights: FeatureVersion
) -> None:
    own = make_weight_set(name="For the new one", version=newer_weights, weights={"login": (0.5, 30.0)})
    weight_set_steps.activate(own.pk, by=None, reason="It needs others")
    score_everybody()
    page = text_of(operator.get(f"{VERSIONS}{newer_weights.pk}/step/go-live/"))
    assert "and those of behavioral:2.0 are the newer ones." in page
    assert "readers are switched in 10 seconds." in go_live(operator, newer_weights)
    assert active_set("2.0") == own


def test_a_version_that_is_replaced_while_everybody_is_scored_for_it_never_was_live(
    newer_weights: FeatureVersion,
) -> None:
    first = FeatureVersion.objects.get(feature_type="behavioral", number="1.0")
    run = version_steps.go_live(newer_weights.pk, by=None, reason="Go")
    assert run is not None
    version_steps.go_live(first.pk, by=None, reason="No")
    newer_weights.refresh_from_db()
    assert (newer_weights.state, newer_weights.live_from, newer_weights.is_awaiting_scores) == (
        "deprecated",
        None,
        False,
    )
    score_everybody()
    assert registry_snapshot.get(younger_than=0).live["behavioral"] == "1.0"


def test_readers_have_a_version_also_where_a_step_is_taken_back_before_they_are_switched() -> None:
    first, version = FeatureVersion.objects.get(feature_type="behavioral"), make_version("behavioral", state="shadow")
    for row in (version, first, version, first):
        version_steps.go_live(row.pk, by=None, reason="To and fro")
        assert registry_snapshot.get(younger_than=0).live["behavioral"] == "1.0"
    assert registry_snapshot.get().seconds_to_switch is None


def test_readers_are_not_switched_by_a_run_of_earlier_weights(newer_weights: FeatureVersion) -> None:
    earlier = Run.objects.filter(kind=Run.Kind.RESCORE).first()
    assert earlier is not None
    run = version_steps.go_live(newer_weights.pk, by=None, reason="Go")
    assert run is not None
    Run.objects.filter(pk=earlier.pk).update(state=Run.State.RUNNING)
    runs.finish_rescore(earlier)
    newer_weights.refresh_from_db()
    assert newer_weights.is_awaiting_scores
    score_everybody()
    newer_weights.refresh_from_db()
    assert (newer_weights.is_awaiting_scores, newer_weights.live_from is None) == (False, False)
