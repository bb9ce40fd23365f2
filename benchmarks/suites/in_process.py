"""`FeatureStore` in process against a bare redis-py HMGET of the same fields."""

from collections.abc import Callable

from django.conf import settings
from redis import Redis

from benchmarks import customers, goals
from benchmarks.customers import FIVE, customer_id
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.turns import cpu_us, figure_and_reference
from featurehub.lib.gc_tuning import freeze_loaded_objects
from features.serving.feature_store import FeatureStore

CUSTOMERS = 1_000
# A run takes so many turns of so many calls: what else the machine does meets both sides alike.
TURNS, CALLS = 400, 40


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=10 makes a tenth of the calls."""
    freeze_loaded_objects()  # as a web worker does
    customers.load(settings.LOCAL_DIR / "in_process.parquet", customers=CUSTOMERS)
    return [store_beside_hmget()]


def store_beside_hmget() -> Row:
    store, client = FeatureStore(), Redis.from_url(settings.REDIS_URL)
    customer, fields = customer_id(7), ["_behavioral", *FIVE]
    store_us, hmget_us = cpu_in_turn(
        lambda: store.get_customer_features(customer, FIVE),
        lambda: client.hmget(f"customer_features:{customer}", fields),
    )
    return Row(
        work="get_customer_features in process, cached: CPU per call",
        figures=store_us,
        unit="µs",
        against="floor",
        references=hmget_us,
        goal=goals.IN_PROCESS,
    )


def cpu_in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Return the CPU time of a call of each, in microseconds, for each run.

    Of many short turns of both, one after the other, whose order changes: Linux may move Redis to the other processor
    between two of them, which makes a third of a difference.
    """
    figures, references = [], []
    for _ in range(RUNS):
        turns = []
        for number in range(scaled(TURNS)):
            cost = {
                work: cpu_us({"": work}, rounds=1, calls=CALLS)[""][0]
                for work in ((first, second) if number % 2 else (second, first))
            }
            turns.append((cost[first], cost[second]))
        figure, reference = figure_and_reference(turns)
        figures.append(figure)
        references.append(reference)
    return figures, references
