"""The aggregation of the window by each engine, as events become more, and beside the same statement sent by psql."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks import events, plot, rows
from benchmarks.batch_floors import TABLE, WINDOW_DAYS, drop, floor_aggregation, leave_servers_alone
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.spent import Spent, spent
from events.exports import export_events
from features.engines import postgres
from features.materialization.locks import database_now

EVENTS = (1_000_000, 10_000_000, 30_000_000)
FIFTY_TYPES = 50


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=30 takes a thirtieth of the events."""
    leave_servers_alone()
    sizes = [scaled(number / events.EVENTS_PER_CUSTOMER) for number in EVENTS]
    costs = {size: engines_at(size) for size in sizes}
    return [*spark_rows(costs), aggregation_row(sizes[-1]), many_types_row(sizes[-1])]


def engines_at(customers: int) -> dict[str, Spent]:
    """Return the cost of the aggregation of the window by each engine, over newly made events."""
    events.make_events(customers=customers)
    costs = {"PostgreSQL": aggregation()}
    if importlib.util.find_spec("pyspark") is not None:
        costs |= spark_aggregation()
    print({name: f"{cost.wall:.1f} s, CPU {cost.cpu:.1f} s" for name, cost in costs.items()}, flush=True)
    return costs


def aggregation() -> Spent:
    """Return the cost of the aggregation by PostgreSQL."""
    with spent() as cost:
        postgres.aggregate_into(TABLE, as_of=database_now(), window_days=WINDOW_DAYS)
    drop()
    return cost


def spark_aggregation() -> dict[str, Spent]:
    """Return the cost of the aggregation by Spark from existing Parquet, and that of the export to Parquet.

    The start of the session counts.
    """
    engine = importlib.import_module("features.engines.spark").Spark
    folder = Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / "spark"
    with spent() as export:
        export_events(folder / "events")
    as_of = database_now()
    with spent() as cost:
        engine(folder=folder, events=folder / "events").aggregate_into(TABLE, as_of=as_of, window_days=WINDOW_DAYS)
    drop()
    return {"Spark": cost, "export": export}


def spark_rows(costs: dict[int, dict[str, Spent]]) -> Iterator[Row]:
    """Yield Spark against PostgreSQL by size, and draw the chart."""
    if not all("Spark" in by_engine for by_engine in costs.values()):
        return
    numbers = {size: size * events.EVENTS_PER_CUSTOMER for size in costs}
    lines = {
        name: [(numbers[size], by_engine[name].wall) for size, by_engine in costs.items()]
        for name in ("PostgreSQL", "Spark")
    }
    title, x_name, y_name = "Aggregating the window", "events", "seconds"
    plot.line_chart(rows.RESULTS / "engines.svg", lines, title=title, x_name=x_name, y_name=y_name)
    for size, by_engine in costs.items():
        yield Row(
            work=f"Spark against PostgreSQL, {numbers[size]:,} events",
            figures=[by_engine["Spark"].wall],
            unit="s",
            against="peer",
            references=[by_engine["PostgreSQL"].wall],
            details={name: {"wall": cost.wall, "cpu": cost.cpu} for name, cost in by_engine.items()},
        )


def aggregation_row(customers: int) -> Row:
    """Return the aggregation by FeatureHub against psql's."""
    turns = [(aggregation(), floor_aggregation()) for _ in range(RUNS)]
    return Row(
        work=f"aggregation of {customers * events.EVENTS_PER_CUSTOMER:,} events",
        figures=[ours.wall for ours, _ in turns],
        unit="s",
        against="floor",
        references=[floor.wall for _, floor in turns],
    )


def many_types_row(customers: int) -> Row:
    """Return the aggregation of events of 50 types against that of the same events of the first six."""
    six = [aggregation() for _ in range(RUNS)]
    events.spread_over_types(FIFTY_TYPES)
    fifty = [aggregation() for _ in range(RUNS)]
    return Row(
        work=f"aggregation of {customers * events.EVENTS_PER_CUSTOMER:,} events of 50 types against the first six",
        figures=[cost.wall for cost in fifty],
        unit="s",
        against="peer",
        references=[cost.wall for cost in six],
    )
