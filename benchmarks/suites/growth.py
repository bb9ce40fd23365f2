"""Reads while something grows: customers in Redis, features per read, customers per batch, workers. Draws the plots.

One connection sends one request after the other, so that latency is the time of one request. BENCH_SCALE=10 takes a
tenth of the customers.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from django.conf import settings
from django_redis import get_redis_connection

from benchmarks import customers, goals, peers, plot, servers
from benchmarks.customers import FIVE, SYNTHETIC, customer_id
from benchmarks.goals import Goal
from benchmarks.load import Request
from benchmarks.peers import DIFFERENT_REQUESTS, Measured, featurehub_request
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.servers import PROJECT, Server
from featurehub.lib.batched import batched
from features.online import layout

CUSTOMERS = (10_000, 100_000, 1_000_000)
FEATURES = (5, 50, 250, 500)
WITH_MANY_FEATURES = 1_000  # customers
PER_BATCH = (1, 10, 100, 1_000)
WORKERS = (1, 2)
DIFFERENT_CUSTOMERS = 10_000
SECONDS = scaled(5)
CONNECTIONS_TO_WORKERS = 16
IMAGES = PROJECT / "docs/images"
PER_PIPELINE = 10_000

# Size of what grows → the turns measured with it, in the order of the runs.
Turns = Mapping[int, Sequence[Measured]]


def run() -> list[Row]:
    sizes = [scaled(size) for size in CUSTOMERS]
    key = peers.reader_key()
    with ExitStack() as stack:
        stack.enter_context(room_in_redis())
        fill(max(sizes))
        started = {size: stack.enter_context(server_of(size, of=max(sizes), key=key)) for size in sizes}
        by_customers = in_turn({size: (server, singles(size)) for size, server in started.items()})
        server = started[max(sizes)]
        by_batch = in_turn({size: (server, batches(size, of=min(sizes))) for size in PER_BATCH})
        publish(WITH_MANY_FEATURES, synthetic=max(FEATURES))
        by_features = in_turn({size: (server, singles(WITH_MANY_FEATURES, features=size)) for size in FEATURES})
        workers = {number: stack.enter_context(servers.featurehub(key=key, workers=number)) for number in WORKERS}
        requests = singles(max(sizes))
        by_workers = in_turn(
            {n: (server, requests) for n, server in workers.items()}, connections=CONNECTIONS_TO_WORKERS
        )
    draw(
        {
            name: medians(turns)
            for name, turns in {
                "customers in Redis": by_customers,
                "customers per batch": by_batch,
                "features per read": by_features,
            }.items()
        }
    )
    draw_workers(medians(by_workers))
    return [
        growth_row(
            by_customers,
            of=lambda turn: turn.load.p50_ms,
            goal=goals.CUSTOMERS_IN_REDIS,
            work="one customer, 5 features: p50 with {:,} customers against {:,}",
        ),
        growth_row(
            by_workers,
            of=lambda turn: turn.cpu_ms,
            goal=goals.WORKERS,
            work="one customer, 5 features: CPU per request with {} workers against {}",
        ),
        *as_rows(by_customers, work="one of {:,} customers, 5 features"),
        *as_rows(by_batch, work="a batch of {:,} customers × 5 features"),
        *as_rows(by_features, work="one customer, {} features"),
        *as_rows(by_workers, work="one customer, 5 features, workers: {}"),
    ]


@contextmanager
def room_in_redis() -> Iterator[None]:
    """Empty Redis, and lift its memory limit and its file until the end of the block."""
    client = get_redis_connection("default")
    before = client.config_get("maxmemory") | client.config_get("appendonly")
    servers.empty_redis()
    try:
        yield
    finally:
        client.flushall()
        client.config_set(*(part for pair in before.items() for part in pair))


def fill(size: int) -> None:
    """Define the synthetic features and publish so many customers."""
    customers.register_synthetic(max(FEATURES))
    publish(size, synthetic=0)


def publish(size: int, *, synthetic: int) -> None:
    """Publish so many customers with so many synthetic features."""
    path = settings.LOCAL_DIR / "growth.parquet"
    customers.write_values(path, customers=size, synthetic=synthetic)
    customers.publish(path)


@contextmanager
def server_of(size: int, *, of: int, key: str) -> Iterator[Server]:
    """Run FeatureHub on a Redis database that has the first `size` of the customers."""
    database = 0 if size == of else len(str(size))  # 1 is Feast's
    if database:
        copy_customers(size, database=database)
    with servers.featurehub(key=key, redis_database=database) as server:
        yield server


def copy_customers(size: int, *, database: int) -> None:
    """Copy the first `size` customers' hashes into another database."""
    keys = (layout.key_of(customer_id(number)) for number in range(size))
    for chunk in batched(keys, PER_PIPELINE):
        with get_redis_connection("default").pipeline(transaction=False) as pipeline:
            for key in chunk:
                pipeline.copy(key, key, destination_db=database)
            pipeline.execute()


def singles(of: int, *, features: int = len(FIVE)) -> list[Request]:
    """Return reads of one customer each, random ones of the first `of`."""
    names = FIVE if features == len(FIVE) else SYNTHETIC[:features]
    draw = random.Random(2)
    return [featurehub_request([customer_id(draw.randrange(of))], names=names) for _ in range(DIFFERENT_CUSTOMERS)]


def batches(size: int, *, of: int) -> list[Request]:
    """Return reads of `size` random customers each."""
    draw = random.Random(2)
    return [
        featurehub_request([customer_id(draw.randrange(of)) for _ in range(size)], names=FIVE)
        for _ in range(DIFFERENT_REQUESTS)
    ]


def in_turn(sides: Mapping[int, tuple[Server, Sequence[Request]]], *, connections: int = 1) -> Turns:
    """Return each side's turns, after one to warm up."""
    turns: dict[int, list[Measured]] = {size: [] for size in sides}
    for number in range(1 + RUNS):
        for size, (server, requests) in sides.items():
            turn = peers.turn(server, requests, seconds=SECONDS if number else 1, connections=connections)
            turns[size] += [turn] if number else []
    print(peers.side_by_side({f"{size:,}": turn for size, turn in medians(turns).items()}), flush=True)
    return turns


def medians(turns: Turns) -> dict[int, Measured]:
    return {size: peers.median_turn(each) for size, each in turns.items()}


def growth_row(turns: Turns, *, of: Callable[[Measured], float], work: str, goal: Goal) -> Row:
    """Return a figure of the turns with the most against that with the fewest."""
    most, fewest = max(turns), min(turns)
    return Row(
        work=work.format(most, fewest),
        figures=[of(turn) for turn in turns[most]],
        unit="ms",
        against="floor",
        references=[of(turn) for turn in turns[fewest]],
        goal=goal,
    )


def as_rows(turns: Turns, *, work: str) -> list[Row]:
    return [
        Row(
            work=f"{work.format(size)}: CPU",
            figures=[turn.cpu_ms for turn in each],
            unit="ms",
            details=asdict(peers.median_turn(each)),
        )
        for size, each in turns.items()
    ]


def draw(grown: Mapping[str, Mapping[int, Measured]]) -> None:
    """Draw a chart for each thing that grows."""
    for name, turns in grown.items():
        lines = {
            "latency (p50)": [(size, turn.load.p50_ms) for size, turn in turns.items()],
            "CPU": [(size, turn.cpu_ms) for size, turn in turns.items()],
            "Redis' CPU": [(size, turn.redis_cpu_ms) for size, turn in turns.items()],
        }
        path = IMAGES / f"growth-{name.replace(' ', '-')}.svg"
        plot.line_chart(path, lines, title=f"One request, by {name}", x_name=name, y_name="ms")


def draw_workers(by_workers: Mapping[int, Measured]) -> None:
    lines = {"requests a second": [(number, turn.load.per_second) for number, turn in by_workers.items()]}
    plot.line_chart(
        IMAGES / "growth-workers.svg", lines, title="Reads by workers", x_name="workers", y_name="requests a second"
    )
