"""The batch work, each beside its bare floor: aggregation, full recompute, refresh before expiry, Spark."""

import importlib.util
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from django.db import connection
from django.db.models.functions import Now
from django_redis import get_redis_connection

from benchmarks import events, plot, rows
from benchmarks.rows import Row
from benchmarks.spent import Spent, spent
from events.exports import export_events
from events.ingest import ingest
from events.validation import NewEvent
from featurehub.embedded.postgres import Postgres
from features import recomputation, refresh, renewal, runs, store
from features.computation import database_now
from features.engines import postgres
from features.models import Customer, Renewal, Run
from features.weights import active_set, as_weights, lifecycle, merged

CUSTOMERS = 1_000_000
# What the engines are compared at; the last size is that of the other rows.
EVENTS = (1_000_000, 10_000_000, 30_000_000)
ROUNDS = 3
WINDOW_DAYS = 30
CHANGED = 0.01
PER_PIPELINE = 1_000
TABLE = "benchmark_activity"
HISTORY_COLUMNS = 'customer_id, feature_type, version, "timestamp", recorded_at, features, metadata'


def run() -> list[Row]:
    """BENCH_SCALE=30 takes a thirtieth of the customers and events."""
    scale = float(os.environ.get("BENCH_SCALE", "1"))
    customers = round(CUSTOMERS / scale)
    # All customers of the largest size fit, so nothing is evicted while it is measured.
    get_redis_connection("default").config_set("maxmemory", 0)
    sizes = [round(number / scale / events.EVENTS_PER_CUSTOMER) for number in EVENTS]
    costs = {size: engines_at(size) for size in sizes[:1]}
    recompute_all()
    small_mb = peak_mb()
    costs |= {size: engines_at(size) for size in sizes[1:]}
    measured = [*spark_rows(costs), aggregation_row(customers)]
    everything = recompute_all()
    memory = Row(
        work=f"peak memory of a recompute of {customers:,} customers against {sizes[0]:,}",
        figure=peak_mb(),
        unit="MB",
        against="peer",
        reference=small_mb,
        at_most=1.5,
    )
    aggregated = floor_aggregation()
    copied, hashed = floor_history(), floor_hashes()
    floor = aggregated + copied + hashed
    measured.append(
        Row(
            work=f"full recompute of {customers:,} customers",
            figure=everything.cpu,
            unit="CPU s",
            against="floor",
            reference=floor.cpu,
            at_most=3.0,
            details={
                "wall": everything.wall, "floor_wall": floor.wall, "aggregation": aggregated.cpu,
                "copy": copied.cpu, "hset": hashed.cpu,
            },
        )
    )  # fmt: skip
    measured += [memory, refresh_row(everything=everything), weights_row(customers)]
    return measured


# --- Engines ----------------------------------------------------------------------------------------------------------
def engines_at(customers: int) -> dict[str, Spent]:
    """The aggregation of the window by each engine, over events made anew."""
    events.make_events(customers=customers)
    costs = {"PostgreSQL": aggregation()}
    if importlib.util.find_spec("pyspark") is not None:
        costs |= spark_aggregation()
    print({name: f"{cost.wall:.1f} s, CPU {cost.cpu:.1f} s" for name, cost in costs.items()}, flush=True)
    return costs


def aggregation() -> Spent:
    with spent() as cost:
        postgres.aggregate_into(TABLE, as_of=database_now(), window_days=WINDOW_DAYS)
    drop()
    return cost


def spark_aggregation() -> dict[str, Spent]:
    """From Parquet that is there already, and the export that makes it; the start of the session counts."""
    engine = importlib.import_module("features.engines.spark").Spark
    folder = Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / "spark"
    with spent() as export:
        export_events(folder / "events")
    as_of = database_now()
    with spent() as cost:
        engine(folder=folder, events=folder / "events").aggregate_into(TABLE, as_of=as_of, window_days=WINDOW_DAYS)
    drop()
    return {"Spark": cost, "export": export}


def drop() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"drop table {TABLE}")


def spark_rows(costs: dict[int, dict[str, Spent]]) -> Iterator[Row]:
    """Spark against PostgreSQL by size, and the chart."""
    if not all("Spark" in by_engine for by_engine in costs.values()):
        return
    numbers = {size: size * events.EVENTS_PER_CUSTOMER for size in costs}
    lines = {
        name: [(numbers[size], by_engine[name].wall) for size, by_engine in costs.items()]
        for name in ("PostgreSQL", "Spark")
    }
    title, x_name, y_name = "Aggregating the window", "events", "seconds"
    plot.line_chart(rows.RESULTS / "batch.svg", lines, title=title, x_name=x_name, y_name=y_name)
    for size, by_engine in costs.items():
        yield Row(
            work=f"Spark against PostgreSQL, {numbers[size]:,} events",
            figure=by_engine["Spark"].wall,
            unit="s",
            against="peer",
            reference=by_engine["PostgreSQL"].wall,
            details={name: {"wall": cost.wall, "cpu": cost.cpu} for name, cost in by_engine.items()},
        )


# --- Aggregation and full recompute -----------------------------------------------------------------------------------
def aggregation_row(customers: int) -> Row:
    turns = [(aggregation(), floor_aggregation()) for _ in range(ROUNDS)]
    ours, floor = (median(cost.wall for cost in side) for side in zip(*turns, strict=True))
    return Row(
        work=f"aggregation of {customers * events.EVENTS_PER_CUSTOMER:,} events",
        figure=ours,
        unit="s",
        against="floor",
        reference=floor,
        at_most=1.2,
        runs=ROUNDS,
    )


def floor_aggregation() -> Spent:
    """The same GROUP BY, sent by psql."""
    with connection.cursor() as cursor:
        statement = cursor.mogrify(postgres.activity_of_all(), postgres.window(database_now(), window_days=WINDOW_DAYS))
    with spent() as cost:
        psql(f"create table {TABLE} as {statement}")
    drop()
    return cost


def recompute_all() -> Spent:
    """Everybody, from the events to Redis; nothing was computed before."""
    get_redis_connection("default").flushdb()
    with spent() as cost:
        recomputation_run = recomputation.begin()
        while recomputation.load_chunk(recomputation_run):
            pass
    recomputation_run.refresh_from_db()
    if recomputation_run.state != Run.State.DONE:
        raise RuntimeError(recomputation_run.error)
    return cost


def peak_mb() -> int:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def floor_history(*, since: datetime | None = None) -> Spent:
    """COPY of the history's rows (recorded from `since` on) into an equal table."""
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
    """Pipelined HSET and EXPIRE of the customers' hashes."""
    client = get_redis_connection("default")
    total = Spent()
    everybody = Customer.objects.values_list("pk", flat=True).iterator()
    for chunk in store.batched(everybody, PER_PIPELINE):
        with client.pipeline(transaction=False) as pipeline:
            for customer_id in chunk:
                pipeline.hgetall(store.key_of(customer_id))
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
    server = Postgres(Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / "postgres")
    program = server._binary("psql")
    subprocess.run([*program, server.url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement], check=True)


# --- Refresh ----------------------------------------------------------------------------------------------------------
def refresh_row(*, everything: Spent) -> Row:
    """All active customers are due, and one in a hundred has a new event."""
    changed = list(
        Customer.objects.filter(recompute_at__isnull=False).values_list("pk", flat=True)[:: round(1 / CHANGED)]
    )
    now = datetime.now(UTC) - timedelta(seconds=1)
    for chunk in store.batched(changed, 10_000):
        ingest([NewEvent(customer_id=pk, event_type="page_view", timestamp=now) for pk in chunk])
    active = Customer.objects.filter(recompute_at__isnull=False).count()
    Renewal.objects.update(due_at=Now())
    marks, renewals = work(refresh.refresh_dirty), work(renewal.renew)
    whole = marks + renewals
    return Row(
        work=f"refresh of {active:,} active customers of whom {len(changed):,} changed",
        figure=whole.cpu,
        unit="CPU s",
        against="peer",
        reference=everything.cpu,
        at_most=0.1,
        details={"wall": whole.wall, "recompute_wall": everything.wall, "marks": marks.cpu, "renewals": renewals.cpu},
    )


# --- New weights ------------------------------------------------------------------------------------------------------
def weights_row(customers: int) -> Row:
    """Other weights are activated, and everybody is re-scored and published; no event is read."""
    since = database_now()
    active = active_set("1.0")
    numbers = merged(as_weights(active), changes={"page_view": {"weight": 0.25}}, monetary_norm=None)
    draft = lifecycle.draft(version="1.0", name="Benchmark", reason="To be measured", numbers=numbers, by=None)
    with spent() as cost:
        run = lifecycle.activate(draft.pk, by=None, reason="To be measured")
        while refresh.rescore(run) or not runs.finish_rescore(run):
            pass
    copied, hashed = floor_history(since=since), floor_hashes()
    floor = copied + hashed
    return Row(
        work=f"new weights live for {customers:,} customers",
        figure=cost.cpu,
        unit="CPU s",
        against="floor",
        reference=floor.cpu,
        at_most=2.0,
        details={"wall": cost.wall, "floor_wall": floor.wall, "copy": copied.cpu, "hset": hashed.cpu},
    )


def work(step: Callable[[], int]) -> Spent:
    with spent() as cost:
        while step():
            pass
    return cost
