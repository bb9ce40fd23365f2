"""The engine for more events than one PostgreSQL can aggregate: the same statement, on Apache Spark.

Its package is not among the requirements of those who do not use it: `pip install -r requirements-spark.txt`.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
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
from features.engines import staging
from features.engines.activity_sql import COLUMNS, activity_sql
from features.engines.java import java_home
from features.formulas import microseconds

# It would report each connection that it closes, up to the end of the process.
logging.getLogger("py4j").setLevel(logging.WARNING)

LOCAL = "local[*]"
JDBC_PARTITIONS = 8
DIALECT = {
    "events": "events",
    "materialized": "",
    "double": "double",
    "length": 'unix_micros(max("timestamp")) - unix_micros(min("timestamp"))',
    "sum_of_lengths": "sum(length)",
    "last_purchase_us": "unix_micros(last_purchase)",
    "first_event_us": "unix_micros(first_event)",
}
JDBC_EVENTS = """(
    select customer_id, event_type, "timestamp", session_id, amount::float8 as amount, category
    from events_event where "timestamp" between '{oldest}' and '{as_of}'
) event"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """An engine for `recomputation.begin`.

    `events` is a folder that `export_events` wrote, None to export the window first; with `jdbc`, its driver's jar,
    the executors read PostgreSQL themselves. `folder` is for what Spark writes; a cluster must reach it, and `events`,
    under that path.
    """

    folder: Path
    events: Path | None = None
    jdbc: Path | None = None
    master: str = LOCAL
    remote: str | None = None

    def aggregate_into(self, table: str, *, as_of: datetime, window_days: int) -> None:
        """The activity of every customer as a new table, by way of Parquet."""
        oldest = as_of - timedelta(days=window_days)
        values = self.folder / "activity"
        exported = self.events
        if exported is None and self.jdbc is None:
            exported = self.folder / "events"
            shutil.rmtree(exported, ignore_errors=True)
            export_events(exported, since=oldest)
        with self.session() as spark:
            events = self.read_jdbc(spark, oldest=oldest, as_of=as_of) if exported is None else read(spark, exported)
            events.createOrReplaceTempView("events")
            bounds = {"oldest": moment(oldest), "as_of": moment(as_of)}
            wanted = "select distinct customer_id from recent"
            activity = spark.sql(activity_sql({**DIALECT, **bounds}, wanted=wanted))
            activity.write.mode("overwrite").parquet(str(values))
        staging.fill(table, blocks(values))

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """A session until the end of the block."""
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
        """Double quotes are for names, as in PostgreSQL; moments are UTC. On this machine nothing listens outside."""
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
        """The window from PostgreSQL, by several executors at once, each some days of it."""
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


def read(spark: SparkSession, exported: Path) -> DataFrame:
    """An export; without any event in it, no file says what the columns are."""
    return spark.read.schema(SCHEMA).parquet(str(exported))


SCHEMA = "customer_id string, event_type string, timestamp timestamp, session_id string, amount double, category string"


def moment(value: datetime) -> str:
    """A moment in Spark's SQL, exact to the microsecond."""
    return f"timestamp_micros({microseconds(value)})"


def blocks(values: Path) -> Iterator[bytes]:
    """The rows that Spark wrote, as CSV for COPY: (customer_id, *COLUMNS)."""
    options = csv.WriteOptions(include_header=False)
    for batch in ds.dataset(values, format="parquet").to_batches(columns=["customer_id", *COLUMNS]):
        sink: Any = pa.BufferOutputStream()
        csv.write_csv(batch, sink, options)
        yield sink.getvalue().to_pybytes()
