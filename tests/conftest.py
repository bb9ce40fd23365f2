"""What tests share: real PostgreSQL and Valkey, empty at the start of each test, and clients of the API.

`db` (pytest-django's) rolls back what a test wrote, and is the one to use. Where commits must be real, for threads and
processes, `committed` is: pytest-django's `transactional_db` would empty the first definitions and weights too.
"""

import os
from collections.abc import Iterator

import pytest
import pytest_django
import redis
from django.apps import apps
from django.db import connection, connections
from django.test.utils import setup_databases, teardown_databases
from django_redis import get_redis_connection
from hypothesis import HealthCheck, settings

from featurehub.access.authentication import clients
from featurehub.access.models import Scope
from features.monitoring.overview import renewal_age
from features.registry.snapshot import registry_snapshot
from tests.api_client import ApiClient
from tests.factories import make_client

# The same examples in every run; `--hypothesis-profile=explore` looks further, at other ones.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("featurehub", max_examples=50, derandomize=True, **COMMON)
settings.register_profile("explore", max_examples=1_000, print_blob=True, **COMMON)
settings.load_profile("featurehub")

MARKER = "featurehub:tests"
# What the migrations filled stays: definitions, versions, the first weights, buckets.
KEPT = {
    "features_featuredefinition",
    "features_featureversion",
    "features_weightset",
    "features_weight",
    "features_renewal",
}
RESTORE_RENEWALS = "update features_renewal set renewed_at = null, due_at = now()"
# Only the first weight set is left, and active. The triggers would refuse that.
RESTORE_WEIGHTS = """
alter table features_weight disable trigger user;
alter table features_weightset disable trigger user;
delete from features_weight where weight_set_id <> (select min(id) from features_weightset);
delete from features_weightset where id <> (select min(id) from features_weightset);
update features_weightset set state = 'active';
set constraints all immediate;
alter table features_weight enable trigger user;
alter table features_weightset enable trigger user;
"""
# Only the first definitions and versions are left, and live.
RESTORE_REGISTRY = """
alter table features_featureversion disable trigger user;
alter table features_featureversion_definitions disable trigger user;
delete from features_featureversion_definitions
    where featureversion_id > {version} or featuredefinition_id > {definition};
delete from features_featuredefinition where id > {definition};
delete from features_featureversion where id > {version};
update features_featureversion set state = 'live', time_to_live = null, live_from = least(live_from, now())
    where state <> 'draft';
set constraints all immediate;
alter table features_featureversion enable trigger user;
alter table features_featureversion_definitions enable trigger user;
"""
NEWEST = """
select (select max(id) from features_featuredefinition), (select max(id) from features_featureversion)
"""


@pytest.fixture(scope="session")
def own_redis() -> "redis.Redis[bytes]":
    """Redis, which tests flush: a database with other data in it than that of tests is refused."""
    client: redis.Redis[bytes] = get_redis_connection("default")
    if client.dbsize() and not client.exists(MARKER):
        pytest.exit(f"The Redis database of REDIS_URL is not empty, and tests flush it: {os.environ['REDIS_URL']}", 4)
    return client


@pytest.fixture(autouse=True)
def empty_redis(own_redis: "redis.Redis[bytes]") -> "redis.Redis[bytes]":
    """Redis without features, nudges or Celery messages."""
    own_redis.flushdb()
    own_redis.set(MARKER, 1)
    return own_redis


@pytest.fixture
def full_redis(own_redis: "redis.Redis[bytes]") -> Iterator[None]:
    """Redis answers what it holds, and takes nothing more in."""
    before = own_redis.config_get("maxmemory*")
    own_redis.config_set("maxmemory", 1, "maxmemory-policy", "noeviction")
    yield
    for name in ("maxmemory", "maxmemory-policy"):
        own_redis.config_set(name, before[name])


@pytest.fixture(autouse=True)
def own_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in memory of another test's database; what this test loads stays, however long it takes."""
    for snapshot in (registry_snapshot, clients, renewal_age):
        snapshot.forget()
        monkeypatch.setattr(snapshot, "_seconds", 3600.0)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: pytest_django.DjangoDbBlocker, django_db_modify_db_settings: None
) -> Iterator[None]:
    """The test database. pytest-django's own makes one only where a test names a fixture that it knows."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[None]:
    """A database in which commits are real, for threads and processes; what the test wrote goes after it."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(NEWEST)
            definition, version = cursor.fetchone()
        yield
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {', '.join(tables_of_tests())}")
            cursor.execute(RESTORE_RENEWALS)
            cursor.execute(RESTORE_WEIGHTS)
            cursor.execute(RESTORE_REGISTRY.format(definition=definition, version=version))
        connections.close_all()


def tables_of_tests() -> list[str]:
    """The tables of this project that are empty at first."""
    models = [model for name in ("access", "events", "features") for model in apps.get_app_config(name).get_models()]
    return sorted({model._meta.db_table for model in models} - KEPT)


@pytest.fixture
def api(request: pytest.FixtureRequest) -> ApiClient:
    """A client with every scope, in the test's `committed` database or in `db`."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    return make_client(*Scope.values)
