"""Fixtures of all tests: real PostgreSQL and Valkey, empty at the start of each test, and clients of the API.

Tests use `db` (pytest-django's), which rolls back, unless commits must be real for threads and processes; those use
`committed`. pytest-django's `transactional_db` would also delete the first definitions and weights.
"""

import os
import time
from collections.abc import Iterator

import pytest
import pytest_django
import redis
from django.apps import apps
from django.db import connection, connections
from django.test.utils import setup_databases, teardown_databases
from django_redis import get_redis_connection
from hypothesis import HealthCheck, settings

from events.registered_types import event_types
from featurehub.access.authentication import clients
from featurehub.access.models import Scope
from features.monitoring.coverage import coverages
from features.monitoring.overview import renewal_age
from features.monitoring.score_distribution import scores_over_a_week
from features.monitoring.value_alerts import drifts_in_memory, value_watch
from features.registry.snapshot import registry_snapshot
from features.tuning.sample import activity_sample
from tests.api_client import ApiClient
from tests.factories import make_client

# The same examples in every run; `--hypothesis-profile=explore` tries more, and other ones in every run.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("featurehub", max_examples=50, derandomize=True, **COMMON)
settings.register_profile("explore", max_examples=1_000, print_blob=True, **COMMON)
settings.load_profile("featurehub")

MARKER = "featurehub:tests"
# All copies in this process's memory: tests/featurehub/lib/test_snapshot.py finds one that is missing here.
SNAPSHOTS = (
    registry_snapshot, event_types, clients, renewal_age, value_watch, drifts_in_memory, coverages,
    scores_over_a_week, activity_sample,
)  # fmt: skip
# Tables that migrations fill are not emptied: event types, definitions, versions, the first weights, buckets.
KEPT = {
    "events_eventtype",
    "features_featuredefinition",
    "features_featureversion",
    "features_weightset",
    "features_weight",
    "features_renewal",
    "features_onlinestore",
}
RESTORE_RENEWALS = "update features_renewal set renewed_at = null, due_at = now()"
# Leave only the first event types, none archived.
RESTORE_EVENT_TYPES = """
delete from events_eventtype where id > {event_type};
update events_eventtype set archived_at = null where archived_at is not null;
"""
RESTORE_ONLINE_STORE = "update features_onlinestore set identity = '', found = '', found_at = null"
# Leave only the first weight set, active. The triggers are off because they refuse that.
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
# Leave only the first definitions and versions, live.
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
select (select max(id) from features_featuredefinition), (select max(id) from features_featureversion),
    (select max(id) from events_eventtype)
"""


@pytest.fixture
def within_an_hour() -> None:
    """Begin no test in the last 15 seconds of an hour, for tests that count in days or hours of the clock."""
    left = 3_600 - time.time() % 3_600
    if left < 15:
        time.sleep(left)


@pytest.fixture(scope="session")
def own_redis() -> "redis.Redis[bytes]":
    """Return a client of Redis, which tests flush. A database with data that is not of tests ends the run."""
    client: redis.Redis[bytes] = get_redis_connection("default")
    if client.dbsize() and not client.exists(MARKER):
        pytest.exit(f"The Redis database of REDIS_URL is not empty, and tests flush it: {os.environ['REDIS_URL']}", 4)
    return client


@pytest.fixture(autouse=True)
def empty_redis(own_redis: "redis.Redis[bytes]") -> "redis.Redis[bytes]":
    """Empty Redis: no features, nudges or Celery messages."""
    own_redis.flushdb()
    own_redis.set(MARKER, 1)
    return own_redis


@pytest.fixture
def full_redis(own_redis: "redis.Redis[bytes]") -> Iterator[None]:
    """Make Redis full: it answers reads and refuses writes."""
    before = own_redis.config_get("maxmemory*")
    own_redis.config_set("maxmemory", 1, "maxmemory-policy", "noeviction")
    yield
    for name in ("maxmemory", "maxmemory-policy"):
        own_redis.config_set(name, before[name])


@pytest.fixture(autouse=True)
def own_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget all snapshots of earlier tests, and keep those of this test however long it takes."""
    for snapshot in SNAPSHOTS:
        snapshot.forget()
        monkeypatch.setattr(snapshot, "_seconds", 3600.0)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: pytest_django.DjangoDbBlocker, django_db_modify_db_settings: None
) -> Iterator[None]:
    """Make the test database; pytest-django makes one only for tests that use its own fixtures."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[None]:
    """Give the test a database with real commits, for threads and processes, and restore it afterwards."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(NEWEST)
            definition, version, event_type = cursor.fetchone()
        yield
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {', '.join(tables_of_tests())}")
            cursor.execute(RESTORE_RENEWALS)
            cursor.execute(RESTORE_ONLINE_STORE)
            cursor.execute(RESTORE_EVENT_TYPES.format(event_type=event_type))
            cursor.execute(RESTORE_WEIGHTS)
            cursor.execute(RESTORE_REGISTRY.format(definition=definition, version=version))
        connections.close_all()


def tables_of_tests() -> list[str]:
    """Return the tables of this project that are empty at first."""
    models = [model for name in ("access", "events", "features") for model in apps.get_app_config(name).get_models()]
    return sorted({model._meta.db_table for model in models if model._meta.managed} - KEPT)


@pytest.fixture
def api(request: pytest.FixtureRequest) -> ApiClient:
    """Return a client with every scope, in the test's `committed` database or in `db`."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    return make_client(*Scope.values)
