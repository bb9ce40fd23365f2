"""A version whose features can't be aggregated is put aside; the others go on."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django_redis import get_redis_connection

from featurehub.lib.errors import ConflictError, InvalidError
from features.formulas import behavioral, expressions
from features.lifecycle import version_steps
from features.materialization import isolation, recompute, refresh, renewal, runs
from features.models import FeatureVersion, Renewal, Run, Weight
from features.monitoring import overview
from features.registry.snapshot import registry_snapshot
from features.serving.feature_store import get_feature_values
from tests.factories import (
    cached,
    forget_registry,
    make_definition,
    make_event,
    make_purchase,
    make_version,
    store_events,
)
from tests.features.materialization.failing_version import TOO_MANY, force_into_shadow

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def failing() -> FeatureVersion:
    """Return a version in shadow that PostgreSQL can't aggregate: it came there past the check of the step."""
    make_definition("one", "behavioral", event_type="login")
    return force_into_shadow()


def load(run: Run) -> Run:
    while recompute.load_chunk(run):
        pass
    run.refresh_from_db()
    return run


def put_aside_versions() -> set[tuple[str, str]]:
    return set(registry_snapshot.get(younger_than=0).put_aside)


def test_the_failing_version_is_put_aside_and_the_live_one_goes_on(failing: FeatureVersion) -> None:
    store_events(make_purchase(amount=50.0))
    assert refresh.refresh_dirty() == 1
    assert cached("c1")["purchase_amount_30d"] == "50.0"
    failing.refresh_from_db()
    assert failing.put_aside_at is not None
    assert "1664" in failing.put_aside_because
    assert "Put aside" in failing.steps.order_by("-id")[0].reason


def test_a_recomputation_of_everybody_goes_on_without_it(failing: FeatureVersion) -> None:
    store_events(make_event(), make_purchase(amount=50.0))
    run = load(Run.objects.create(kind=Run.Kind.RECOMPUTE))
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
    run = version_steps.compute_again(failing.pk, by=None, reason="Repaired")
    load(run)
    failing.refresh_from_db()
    assert (failing.put_aside_at, failing.put_aside_because, failing.is_taken_up) == (None, "", False)
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
    assert refresh.refresh_dirty() == 1
    assert registry_snapshot.get(younger_than=0).put_aside.keys() == {("behavioral", "2.0")}
    pinned = get_feature_values(["c1"], names=["purchase_amount_30d"], versions=["behavioral:1.0"])[0]
    assert pinned.features == {"purchase_amount_30d": 50.0}


def test_the_command_for_everybody_goes_on_without_it(failing: FeatureVersion) -> None:
    store_events(make_event(), make_purchase(amount=50.0))
    call_command("recompute", verbosity=0)
    assert (Run.objects.get().state, cached("c1")["purchase_amount_30d"]) == ("done", "50.0")
    assert put_aside_versions() == {("behavioral", "2.0")}


def test_the_command_for_some_customers_goes_on_without_it(failing: FeatureVersion) -> None:
    store_events(make_event(), make_purchase(amount=50.0))
    assert recompute.recompute_customers(customer_ids=["c1"]) == 1
    assert cached("c1")["purchase_amount_30d"] == "50.0"
    assert put_aside_versions() == {("behavioral", "2.0")}


def test_of_two_versions_that_fail_only_together_one_is_put_aside() -> None:
    for number in ("2.0", "3.0"):
        force_into_shadow(number, windows=TOO_MANY // 2)
    store_events(make_purchase(amount=50.0))
    assert refresh.refresh_dirty() == 1
    (aside,) = put_aside_versions()
    (other,) = {("behavioral", "2.0"), ("behavioral", "3.0")} - {aside}
    assert cached("c1")["purchase_amount_30d"] == "50.0"
    assert cached("c1", f":{':'.join(other)}")["purchase_amount_30d"] == "50.0"
    assert "purchase_amount_30d" not in cached("c1", f":{':'.join(aside)}")


# --- Errors in Python -------------------------------------------------------------------------------------------------


def test_a_behavioral_version_whose_formulas_fail_is_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    version = make_version(one={"event_type": "login"}, state="shadow")
    with connection.cursor() as cursor:  # past the triggers: a norm that only its weights have
        cursor.execute("set session_replication_role = replica")
        Weight.objects.filter(weight_set__version=version, event_type="login").update(norm=7.0)
        cursor.execute("reset session_replication_role")
    capped_share = behavioral.capped_share

    def fail_at_that_norm(value: Any, *, norm: float) -> Any:
        if norm == 7.0:
            raise TypeError("no such norm")
        return capped_share(value, norm=norm)

    monkeypatch.setattr(behavioral, "capped_share", fail_at_that_norm)
    store_events(make_purchase(amount=50.0))
    assert refresh.refresh_dirty() == 1
    version.refresh_from_db()
    assert (put_aside_versions(), version.put_aside_because) == ({("behavioral", "2.0")}, "TypeError: no such norm")
    assert cached("c1")["purchase_amount_30d"] == "50.0"


def test_a_derived_version_whose_expression_fails_is_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    make_version("derived", "2.0", rooted={"expression": "sqrt(purchases_30d)"}, state="shadow")
    store_events(make_purchase(amount=10.0), make_purchase(amount=10.0, customer_id="c2"))
    refresh.refresh_dirty()

    def fail(value: object) -> None:
        raise TypeError("no root")

    monkeypatch.setitem(expressions.FUNCTIONS, "sqrt", fail)
    store_events(make_purchase(amount=50.0), make_purchase(customer_id="c3"))
    assert refresh.refresh_dirty() == 2
    assert put_aside_versions() == {("derived", "2.0")}
    assert FeatureVersion.objects.get(feature_type="derived", number="2.0").put_aside_because == "TypeError: no root"
    assert cached("c1")["purchase_amount_30d"] == "60.0"
    get_redis_connection("default").delete("{customer_features:c2}:derived:2.0")
    for customer_id, value in {"c1": 1.0, "c2": 1.0, "c3": 0.0}.items():  # 0 is the default of a missing value
        pinned = get_feature_values([customer_id], names=["rooted"], versions=["derived:2.0"])[0]
        assert pinned.features == {"rooted": value}


# --- Taken up ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def aside() -> FeatureVersion:
    """Return a version that was put aside after c1 and c2 were computed, and missed a login of each."""
    version = make_version(logins={"event_type": "login"}, state="shadow")
    for _ in range(2):
        store_events(*(make_event(customer_id=name, event_type="login") for name in ("c1", "c2")))
        refresh.refresh_dirty()
        isolation.put_aside(registry_snapshot.get(younger_than=0).views["behavioral", "2.0"], because="A test")
        forget_registry()
    version.refresh_from_db()
    return version


def read(customer_id: str) -> tuple[float | None, datetime | None]:
    """Return the value of the version that is put aside, and the moment of which its reader is told."""
    values = get_feature_values([customer_id], names=["logins"], versions=["behavioral:2.0"])[0]
    return values.features["logins"], values.computed_at


def test_until_everybody_is_computed_again_readers_are_told_that_values_are_old(aside: FeatureVersion) -> None:
    assert aside.put_aside_at is not None
    run = version_steps.compute_again(aside.pk, by=None, reason="Repaired")
    forget_registry()
    store_events(make_event(customer_id="c1"))
    refresh.refresh_dirty()
    value, computed_at = read("c1")
    assert value == 2.0
    assert computed_at is not None
    assert computed_at > aside.put_aside_at
    value, computed_at = read("c2")
    assert value == 1.0
    assert computed_at is not None
    assert computed_at <= aside.put_aside_at
    assert overview.versions_put_aside().count() == 1
    with pytest.raises(ConflictError, match="are being computed"):
        version_steps.go_live(aside.pk, by=None, reason="Now")
    load(run)
    forget_registry()
    value, computed_at = read("c2")
    assert value == 2.0
    assert computed_at is not None
    assert computed_at > aside.put_aside_at
    assert overview.versions_put_aside().count() == 0


def test_new_weights_and_renewals_do_not_pass_off_its_old_values_as_new(aside: FeatureVersion) -> None:
    version_steps.compute_again(aside.pk, by=None, reason="Repaired")
    forget_registry()
    Renewal.objects.update(due_at=Now())
    while renewal.renew():
        pass
    value, computed_at = read("c1")
    assert value == 1.0
    assert computed_at is not None
    assert aside.put_aside_at is not None
    assert computed_at <= aside.put_aside_at
    renewal.recompute_from_history(["c1"])
    assert read("c1")[0] == 2.0


def test_a_version_that_fails_while_it_is_taken_up_is_put_aside_as_before(aside: FeatureVersion) -> None:
    run = version_steps.compute_again(aside.pk, by=None, reason="Repaired")
    isolation.put_aside(registry_snapshot.get(younger_than=0).views["behavioral", "2.0"], because="It fails again")
    load(run)
    before, because = aside.put_aside_at, "It fails again"
    aside.refresh_from_db()
    assert (aside.put_aside_at, aside.put_aside_because, aside.is_taken_up) == (before, because, False)
    assert registry_snapshot.get(younger_than=0).windowed == ()


def test_a_run_that_fails_leaves_the_version_put_aside(aside: FeatureVersion) -> None:
    run = version_steps.compute_again(aside.pk, by=None, reason="Repaired")
    with pytest.raises(RuntimeError), runs.failing(run):
        raise RuntimeError("no disk is left")
    aside.refresh_from_db()
    assert (aside.put_aside_because, aside.is_taken_up) == ("A test", False)
    assert version_steps.compute_again(aside.pk, by=None, reason="Once more").state == "running"


def test_a_failed_backfill_does_not_end_what_a_recomputation_has_taken_up(aside: FeatureVersion) -> None:
    run = version_steps.compute_again(aside.pk, by=None, reason="Repaired")
    backfill = Run.objects.create(kind=Run.Kind.BACKFILL, version=aside)
    assert runs.fail(backfill, because="It can't be computed.")
    load(run)
    aside.refresh_from_db()
    assert aside.put_aside_at is None
