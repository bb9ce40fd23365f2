"""The Spark engine: the same statement on Apache Spark, for more events than one PostgreSQL can aggregate.

Its packages are optional: `pip install -r requirements-spark.txt`.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from django.db import connection
from pyarrow import csv
from pyspark.sql import DataFrame, SparkSession

from events.exports import export_events
from featurehub.lib.clock import microseconds
from features.engines import staging, windowed_sql
from features.engines.activity_sql import ACTIVITY_COLUMNS, activity_sql, earliest
from features.engines.java import java_home
from features.formulas.windowed import WindowedFeature

# At INFO, py4j reports each connection that it closes, until the process ends.
logging.getLogger("py4j").setLevel(logging.WARNING)

LOCAL = "local[*]"
JDBC_PARTITIONS = 8
# SQL about a key in the events' metadata.
VARIANT_VALUE = "variant_get(metadata, {key},"
IS_NUMBER = f"regexp_like(schema_of_variant({VARIANT_VALUE} 'variant')), '^(BIGINT|DECIMAL|DOUBLE)')"
IS_STRING = f"schema_of_variant({VARIANT_VALUE} 'variant')) = 'STRING'"
# An aggregate of doubles. Where an intermediate result overflows, it is taken of values divided by 2 ** 64.
SCALED = """case when abs({aggregate}({{value}})) < double('Infinity') then {aggregate}({{value}})
    else {aggregate}({{value}} / double(18446744073709551616)) * double(18446744073709551616) end"""
SPARK_DIALECT = {
    "events": "events",
    "materialized": "",
    "double": "double",
    "text": "string",
    "length": 'unix_micros(max("timestamp")) - unix_micros(min("timestamp"))',
    "sum_of_lengths": "sum(length)",
    "last_purchase_us": "unix_micros(last_purchase)",
    "first_event_us": "unix_micros(first_event)",
    "last_event_us": "unix_micros(last_event)",
    "has_other_types": "true",
    "counts_as_json": "to_json(map_from_entries(collect_list(struct(event_type, events))))",
    # For windowed features. An event's JSON is a text in Spark, and is parsed once.
    "json": "parse_json(metadata) as metadata",
    "nearest": "least(greatest(double(coalesce({number}, 0)), -1.7976931348623157e308), 1.7976931348623157e308)",
    "sum": SCALED.format(aggregate="sum"),
    "mean": SCALED.format(aggregate="avg"),
    "last": 'max_by({value}, struct("timestamp", {value})) filter (where {value} is not null)',
    "no_number": "cast(null as double)",
    "number": f"case when {IS_NUMBER} then {VARIANT_VALUE} 'double') end",
    # In Spark, 1 and 1.0 have the same text.
    "identity": f"case when {IS_STRING} then 's' || {VARIANT_VALUE} 'string') "
    f"when {IS_NUMBER} then 'n' || {VARIANT_VALUE} 'string') end",
    "age_days": '(cast(unix_micros({as_of}) - unix_micros("timestamp") as double) / cast(86400000000 as double))',
    "micros": "unix_micros({moment})",
    # An array has one type. As doubles, moments are exact to the microsecond for three centuries around 1970.
    "item": "{name}, array({value}, cast({first} as double), cast({last} as double))",
    "pack": "to_json(named_struct({items}))",
}
JDBC_EVENTS = """(
    select customer_id, event_type, "timestamp", session_id, amount::float8 as amount, category, metadata::text
    from events_event where "timestamp" between '{oldest}' and '{as_of}'
) event"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """The settings of Spark; `aggregate_into` is an engine for `recompute.begin_recompute`.

    `folder` is for the files that Spark writes; a cluster must reach it, and `events`, under the same path. `events` is
    a folder that `export_events` wrote; None: the events of the window are exported first. With `jdbc`, the jar of
    PostgreSQL's driver, the executors read PostgreSQL themselves. `master` is the address of a cluster, `remote` that
    of a Spark Connect server.
    """

    folder: Path
    events: Path | None = None
    jdbc: Path | None = None
    master: str = LOCAL
    remote: str | None = None

    def aggregate_into(
        self, table: str, *, as_of: datetime, window_days: int, features: Sequence[WindowedFeature] = ()
    ) -> None:
        """Create a table with the activity of every customer, by way of Parquet."""
        since = earliest(as_of, window_days=window_days, features=features)
        values = self.folder / "activity"
        exported = self.events
        if exported is None and self.jdbc is None:
            exported = self.folder / "events"
            shutil.rmtree(exported, ignore_errors=True)
            export_events(exported, since=since)
        with self.session() as spark:
            events = (
                self.read_jdbc(spark, oldest=since, as_of=as_of) if exported is None else read_export(spark, exported)
            )
            events.createOrReplaceTempView("events")
            activity = spark.sql(*statement(as_of, window_days=window_days, features=features))
            activity.write.mode("overwrite").parquet(str(values))
        staging.create_activity_table(table, csv_blocks(values), features=features)

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """Yield a session that ends with the block."""
        if self.remote is not None:
            builder = SparkSession.builder.remote(self.remote)
        else:
            os.environ |= {"JAVA_HOME": str(java_home(self.folder)), "PYSPARK_PYTHON": sys.executable}
            builder = SparkSession.builder.master(self.master).appName("FeatureHub")
        for name, value in self.configuration().items():
            builder = builder.config(name, value)
        spark = builder.getOrCreate()
        try:
            yield spark
        finally:
            spark.stop()

    def configuration(self) -> dict[str, str]:
        """Return Spark's settings.

        Double quotes enclose names, as in PostgreSQL, and moments are UTC. On this machine, Spark listens on 127.0.0.1
        only.
        """
        shared = {
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.ansi.enabled": "true",
            "spark.sql.ansi.doubleQuotedIdentifiers": "true",
        }
        if self.remote is not None:
            return shared
        if self.jdbc is not None:
            shared["spark.jars"] = str(self.jdbc.resolve())
        if not self.master.startswith("local"):
            return shared
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        return shared | {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "2g",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
            "spark.local.dir": str(self.folder / "local"),
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
        }

    def read_jdbc(self, spark: SparkSession, *, oldest: datetime, as_of: datetime) -> DataFrame:
        """Return the events of the window from PostgreSQL, read by several executors, each some days of it."""
        database = connection.settings_dict
        options = {
            "url": f"jdbc:postgresql://{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}",
            "driver": "org.postgresql.Driver",
            "user": database["USER"],
            "password": database["PASSWORD"],
            "dbtable": JDBC_EVENTS.format(oldest=oldest.isoformat(), as_of=as_of.isoformat()),
            "partitionColumn": "timestamp",
            "lowerBound": f"{oldest:%Y-%m-%d %H:%M:%S}",
            "upperBound": f"{as_of:%Y-%m-%d %H:%M:%S}",
            "numPartitions": str(JDBC_PARTITIONS),
            "fetchsize": "10000",
        }
        return spark.read.format("jdbc").options(**options).load()


def statement(as_of: datetime, *, window_days: int, features: Sequence[WindowedFeature]) -> tuple[str, dict[str, Any]]:
    """Return the statement and its parameters.

    Moments are written into the statement, exact to the microsecond; texts of users are parameters.
    """
    bound = windowed_sql.parameters(features, as_of=as_of)
    bound |= {name: f'$["{value}"]' for name, value in bound.items() if name.endswith("_key")}
    moments = {name: timestamp_sql(value) for name, value in bound.items() if isinstance(value, datetime)}
    words = {
        **SPARK_DIALECT,
        "as_of": timestamp_sql(as_of),
        "oldest": timestamp_sql(as_of - timedelta(days=window_days)),
        "earliest": timestamp_sql(earliest(as_of, window_days=window_days, features=features)),
    }
    words["age_days"] = words["age_days"].format(as_of=words["as_of"])
    sql = activity_sql(
        words,
        wanted="select distinct customer_id from recent",
        features=features,
        bind=lambda name: moments.get(name, f":{name}"),
    )
    return sql, {name: value for name, value in bound.items() if name not in moments}


def read_export(spark: SparkSession, exported: Path) -> DataFrame:
    """Return the events of an export.

    The schema is given, because an export without events has no file that contains it.
    """
    return spark.read.schema(SCHEMA).parquet(str(exported))


SCHEMA = """customer_id string, event_type string, timestamp timestamp, session_id string, amount double,
    category string, metadata string"""


def timestamp_sql(value: datetime) -> str:
    """Return a moment as Spark's SQL, exact to the microsecond."""
    return f"timestamp_micros({microseconds(value)})"


def csv_blocks(values: Path) -> Iterator[bytes]:
    """Yield the rows that Spark wrote as CSV for COPY: (customer_id, *ACTIVITY_COLUMNS, other_types, windowed)."""
    options = csv.WriteOptions(include_header=False)
    for batch in ds.dataset(values, format="parquet").to_batches(
        columns=["customer_id", *ACTIVITY_COLUMNS, "other_types", "windowed"]
    ):
        sink: Any = pa.BufferOutputStream()
        csv.write_csv(batch, sink, options)
        yield sink.getvalue().to_pybytes()
