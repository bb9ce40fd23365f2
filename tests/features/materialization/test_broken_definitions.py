"""A definition that can't be read, such as an expression changed by hand, holds up no version but its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.models.functions import Now
from django_redis import get_redis_connection

from featurehub.access.models import Scope
from featurehub.lib.errors import InvalidError
from features.lifecycle import version_steps
from features.materialization import recompute, refresh, renewal
from features.models import FeatureDefinition, FeatureVersion, FeatureVersionStep, Renewal
from features.monitoring import overview
from features.registry.snapshot import registry_snapshot
from features.serving.feature_store import get_feature_values
from tests.factories import (
    cached,
    forget_registry,
    make_client,
    make_customer,
    make_event,
    make_purchase,
    make_version,
    store_events,
)
from tests.staff import log_in

pytestmark = pytest.mark.usefixtures("committed")
BROKEN = ("derived", "2.0")


@contextmanager
def past_the_triggers() -> Iterator[None]:
    """Change rows as somebody can who is a superuser of the database."""
    with connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")
        yield
        cursor.execute("reset session_replication_role")


def set_expression(text: str, *, name: str = "spent") -> None:
    with past_the_triggers():
        FeatureDefinition.objects.filter(name=name).update(expression=text)
    forget_registry()


def compute_somebody() -> None:
    store_events(make_event(customer_id="c9"))
    refresh.refresh_dirty()


def make_broken(text: str = "1 +", *, state: str = "live") -> FeatureVersion:
    """Return a derived version, computed for c1, of which an expression was changed afterwards."""
    version = make_version("derived", spent={"expression": "purchase_amount_30d * 2"}, state=state)
    make_customer("c1", events=[make_purchase(amount=50.0)])
    set_expression(text)
    return version


def spent() -> dict[str, float]:
    return get_feature_values(["c1"], names=["spent", "purchase_amount_30d"])[0].features


@pytest.mark.parametrize("text", ["1 +", "median(purchase_amount_30d)", "spent + 1", "", "\x7f"])
def test_the_others_are_read_and_computed_and_it_is_put_aside(text: str) -> None:
    version = make_broken(text)
    assert spent() == {"spent": 100.0, "purchase_amount_30d": 50.0}
    store_events(make_purchase(amount=1.0))
    assert refresh.refresh_dirty() == 1
    assert cached("c1")["purchase_amount_30d"] == "51.0"
    assert spent() == {"spent": 100.0, "purchase_amount_30d": 51.0}
    assert overview.versions_put_aside().get() == version


def test_the_reason_names_the_definition() -> None:
    version = make_broken()
    compute_somebody()
    version.refresh_from_db()
    assert version.put_aside_because == "spent: Invalid expression: it ends too early."
    assert FeatureVersionStep.objects.filter(version=version).latest("id").reason.startswith("Put aside")


def test_with_nobody_to_compute_a_renewal_puts_it_aside() -> None:
    make_broken()
    Renewal.objects.update(due_at=Now())
    renewal.renew()
    assert overview.versions_put_aside().count() == 1


def test_its_readers_keep_its_old_values_and_are_told_their_age() -> None:
    version = make_broken()
    compute_somebody()
    version.refresh_from_db()
    store_events(make_purchase(amount=1.0))
    refresh.refresh_dirty()
    values = get_feature_values(["c1"], names=["spent"])[0]
    assert values.features == {"spent": 100.0}
    assert values.computed_at is not None
    assert version.put_aside_at is not None
    assert values.computed_at <= version.put_aside_at


def test_without_redis_its_old_values_are_read_from_postgresql() -> None:
    make_broken()
    get_redis_connection("default").delete("customer_features:c1")
    values = get_feature_values(["c1"], names=["spent", "engagement_score"])[0]
    assert (values.features["spent"], values.missing, values.source) == (100.0, {}, "database")


def test_renewals_and_recomputations_go_on_without_it() -> None:
    make_broken(state="shadow")
    store_events(make_event(customer_id="c2"))
    assert recompute.recompute_customers(customer_ids=["c1", "c2"]) == 2
    renewal.recompute_from_history(["c1", "c2"])
    assert get_feature_values(["c2"], names=["engagement_score"])[0].missing == {}
    assert registry_snapshot.get(younger_than=0).put_aside.keys() == {BROKEN}


def test_it_is_taken_up_again_only_when_it_can_be_read() -> None:
    version = make_broken()
    compute_somebody()
    with pytest.raises(InvalidError, match="ends too early"):
        version_steps.compute_again(version.pk, by=None, reason="Once more")
    set_expression("purchase_amount_30d * 3")
    assert spent()["spent"] == 100.0
    run = version_steps.compute_again(version.pk, by=None, reason="Repaired")
    while recompute.load_chunk(run):
        pass
    forget_registry()
    assert spent()["spent"] == 150.0
    assert overview.versions_put_aside().count() == 0


def test_one_that_is_taken_up_as_it_breaks_is_put_aside_again() -> None:
    version = make_broken()
    compute_somebody()
    set_expression("purchase_amount_30d * 3")
    version_steps.compute_again(version.pk, by=None, reason="Repaired")
    set_expression("1 +")
    compute_somebody()
    version.refresh_from_db()
    assert (version.is_taken_up, registry_snapshot.get(younger_than=0).taken_up) == (False, frozenset())
    assert spent()["spent"] == 100.0


@pytest.mark.parametrize("time_to_live", [None, 3_600])
def test_api_and_admin_have_a_page_for_everything_about_it(time_to_live: int | None) -> None:
    version = make_broken()
    with past_the_triggers():
        FeatureVersion.objects.filter(pk=version.pk).update(time_to_live=time_to_live)
        FeatureDefinition.objects.filter(list_place=8).update(list_place=None)
        FeatureDefinition.objects.filter(name="spent").update(list_place=8)
    forget_registry()
    api = make_client(Scope.READ)
    for path in ("definitions/", "customers/?order=-spent&where=spent>=1", "customers/c1/vector/"):
        assert api.get(f"/api/v1/{path}").status_code == 200, path
    operator, (definition,) = log_in("operator"), FeatureDefinition.objects.filter(name="spent")
    behavioral = FeatureVersion.objects.get(feature_type="behavioral")
    admin = "/admin/features"
    for path in (
        f"{admin}/featureversion/", f"{admin}/featureversion/{version.pk}/change/", f"{admin}/featuredefinition/",
        f"{admin}/featureversion/{behavioral.pk}/change/", f"{admin}/featuredefinition/{definition.pk}/change/",
        f"{admin}/customer/c1/change/", f"{admin}/customer/",
    ):  # fmt: skip
        assert operator.get(path).status_code == 200, path
    compute_somebody()
    forget_registry()
    assert "is put aside since" in operator.get(f"{admin}/featureversion/").content.decode()
