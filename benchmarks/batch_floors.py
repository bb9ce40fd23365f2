"""Floors of batch work (psql's GROUP BY and COPY, pipelined HSETs), on servers that do nothing else meanwhile."""

import os
import subprocess
from datetime import datetime
from pathlib import Path

from django.db import connection
from django_redis import get_redis_connection

from benchmarks.servers import empty_redis
from benchmarks.spent import Spent, spent
from featurehub.devserver.postgres import Postgres
from featurehub.lib.batched import batched
from features.engines import postgres
from features.materialization.locks import database_now
from features.models import Customer
from features.online import layout

WINDOW_DAYS = 30
PER_PIPELINE = 1_000
TABLE = "benchmark_activity"
HISTORY_COLUMNS = 'customer_id, feature_type, version, "timestamp", recorded_at, features, metadata'


def leave_servers_alone() -> None:
    """Keep both servers from work of their own in the middle of a measurement.

    All customers of the largest size fit into Redis, so that none is evicted. PostgreSQL writes no checkpoint, and
    vacuums between two turns, see `vacuum`: autovacuum would come in the midst of some of them.
    """
    empty_redis()
    with connection.cursor() as cursor:
        cursor.execute("alter system set max_wal_size = '24GB'")
        cursor.execute("alter system set checkpoint_timeout = '1h'")
        cursor.execute("alter system set autovacuum = off")
        cursor.execute("select pg_reload_conf()")


def vacuum() -> Spent:
    """Vacuum and analyze what turns have written, between two of them. Return the cost."""
    with spent() as cost, connection.cursor() as cursor:
        cursor.execute("vacuum analyze features_customer, features_customerfeature")
    return cost


def floor_aggregation() -> Spent:
    """Return the cost of the same GROUP BY, sent by psql."""
    with connection.cursor() as cursor:
        statement = cursor.mogrify(
            postgres.activity_sql_of_all(), postgres.shared_parameters(database_now(), window_days=WINDOW_DAYS)
        )
    with spent() as cost:
        psql(f"create table {TABLE} as {statement}")
    drop()
    return cost


def drop() -> None:
    """Drop the table that an aggregation has filled."""
    with connection.cursor() as cursor:
        cursor.execute(f"drop table {TABLE}")


def floor_history(*, since: datetime | None = None) -> Spent:
    """Return the cost of a COPY of the history's rows (recorded from `since` on) into an equal table."""
    rows_file = Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / "history.copy"
    where = "" if since is None else f"where recorded_at >= '{since.isoformat()}'"
    psql(f"\\copy (select {HISTORY_COLUMNS} from features_customerfeature {where}) to '{rows_file}'")
    psql("create table benchmark_history (like features_customerfeature including all)")
    with spent() as cost:
        psql(f"\\copy benchmark_history ({HISTORY_COLUMNS}) from '{rows_file}'")
    psql("drop table benchmark_history")
    rows_file.unlink()
    return cost


def floor_hashes() -> Spent:
    """Return the cost of pipelined HSET and EXPIRE of the customers' hashes."""
    client = get_redis_connection("default")
    total = Spent()
    everybody = Customer.objects.values_list("pk", flat=True).iterator()
    for chunk in batched(everybody, PER_PIPELINE):
        with client.pipeline(transaction=False) as pipeline:
            for customer_id in chunk:
                pipeline.hgetall(layout.key_of(customer_id))
            hashes = pipeline.execute()
        with spent() as cost, client.pipeline(transaction=False) as pipeline:
            for customer_id, held in zip(chunk, hashes, strict=True):
                pipeline.hset(f"floor:{customer_id}", mapping=held)
                pipeline.expire(f"floor:{customer_id}", 3600)
            pipeline.execute()
        client.unlink(*(f"floor:{customer_id}" for customer_id in chunk))
        total += cost
    return total


def psql(statement: str) -> None:
    """Run a statement on the embedded PostgreSQL by psql."""
    server = Postgres(Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / "postgres")
    program = server._binary("psql")
    subprocess.run([*program, server.url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement], check=True)
