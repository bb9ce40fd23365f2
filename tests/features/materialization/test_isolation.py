"""A version whose features can't be aggregated is put aside; the others go on."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError, InvalidError
from features.lifecycle import version_steps
from features.materialization import isolation, recompute, refresh
from features.models import FeatureDefinition, FeatureVersion, Run
from features.registry.snapshot import registry_snapshot
from features.serving.feature_store import get_feature_values
from tests.factories import cached, forget_registry, make_event, make_purchase, make_version, store_events

pytestmark = pytest.mark.usefixtures("committed")
# Each is a column of one list of columns, of which PostgreSQL takes 1,664.
TOO_MANY = 1_700


@pytest.fixture
def failing() -> FeatureVersion:
    """Return a version in shadow that PostgreSQL can't aggregate: it came there past the check of the step."""
    version = make_version(one={"event_type": "login"})
    rows = FeatureDefinition.objects.bulk_create(
        FeatureDefinition(name=f"w_{n}", feature_type="behavioral", kind="count", window_days=1 + n % 90)
        for n in range(TOO_MANY)
    )
    version.definitions.add(*rows)
    FeatureVersion.objects.filter(pk=version.pk).update(state="shadow")
    version.weight_sets.all().delete()
    version_steps.weight_set_steps.copy_to_version(
        version_steps.active_set("1.0"), version=version, by=None, reason="A test"
    )
    forget_registry()
    return version


def test_the_failing_version_is_put_aside_and_the_live_one_goes_on(failing: FeatureVersion) -> None:
    store_events(make_purchase(amount=50.0))
    with pytest.raises(DatabaseError):
        refresh.refresh_dirty()
    assert refresh.refresh_dirty() == 1
    assert cached("c1")["purchase_amount_30d"] == "50.0"
    failing.refresh_from_db()
    assert failing.put_aside_at is not None
    assert "1664" in failing.put_aside_because
    assert "Put aside" in failing.steps.order_by("-id")[0].reason


def test_a_recomputation_of_everybody_goes_on_without_it(failing: FeatureVersion) -> None:
    store_events(make_event(), make_purchase(amount=50.0))
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE)
    while recompute.load_chunk(run):
        run.refresh_from_db()
    run.refresh_from_db()
    assert (run.state, cached("c1")["purchase_amount_30d"]) == ("done", "50.0")
    assert registry_snapshot.get(younger_than=0).put_aside.keys() == {("behavioral", "2.0")}


def test_a_run_of_the_failing_version_itself_fails_and_says_why(failing: FeatureVersion) -> None:
    store_events(make_event())
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, version=failing)
    with pytest.raises(DatabaseError):
        recompute.load_chunk(run)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "1664" in run.error


def test_computing_it_again_takes_it_up_once_it_can_be_computed(failing: FeatureVersion) -> None:
    store_events(make_event())
    with pytest.raises(DatabaseError):
        refresh.refresh_dirty()
    with pytest.raises(ConflictError, match="is put aside"):
        version_steps.go_live(failing.pk, by=None, reason="Now")
    with pytest.raises(InvalidError, match="retire a version first, or take features out"):
        version_steps.compute_again(failing.pk, by=None, reason="Once more")
    with connection.cursor() as cursor:  # repaired past the triggers, as it was broken past the check
        cursor.execute("set session_replication_role = replica")
        cursor.execute("delete from features_featureversion_definitions where featureversion_id = %s", [failing.pk])
        cursor.execute(
            "insert into features_featureversion_definitions (featureversion_id, featuredefinition_id) "
            "select %s, id from features_featuredefinition where name = 'one'",
            [failing.pk],
        )
        cursor.execute("reset session_replication_role")
    forget_registry()
    version_steps.compute_again(failing.pk, by=None, reason="Repaired")
    failing.refresh_from_db()
    assert (failing.put_aside_at, failing.put_aside_because) == (None, "")
    assert registry_snapshot.get(younger_than=0).put_aside == {}


def test_values_of_a_version_that_is_put_aside_do_not_get_a_later_moment() -> None:
    version = make_version(one={"event_type": "login"})
    version_steps.put_into_shadow(version.pk, by=None, reason="Try")
    store_events(make_event())
    refresh.refresh_dirty()
    isolation.put_aside(registry_snapshot.get(younger_than=0).view("behavioral", "2.0"), because="A test")
    forget_registry()
    version.refresh_from_db()
    store_events(make_event())
    refresh.refresh_dirty()
    live = get_feature_values(["c1"])[0].computed_at
    pinned = get_feature_values(["c1"], versions=["behavioral:2.0"])[0].computed_at
    assert live is not None
    assert pinned is not None
    assert version.put_aside_at is not None
    assert pinned <= version.put_aside_at < live


def test_the_live_version_is_put_aside_where_it_fails_and_the_others_go_on(failing: FeatureVersion) -> None:
    live = FeatureVersion.objects.get(feature_type="behavioral", number="1.0")
    FeatureVersion.objects.filter(pk=live.pk).update(state="deprecated", live_from=Now() - timedelta(days=2))
    FeatureVersion.objects.filter(pk=failing.pk).update(state="live", live_from=Now() - timedelta(days=1))
    forget_registry()
    store_events(make_purchase(amount=50.0))
    with pytest.raises(DatabaseError):
        refresh.refresh_dirty()
    assert refresh.refresh_dirty() == 1
    assert registry_snapshot.get(younger_than=0).put_aside.keys() == {("behavioral", "2.0")}
    pinned = get_feature_values(["c1"], names=["purchase_amount_30d"], versions=["behavioral:1.0"])[0]
    assert pinned.features == {"purchase_amount_30d": 50.0}
