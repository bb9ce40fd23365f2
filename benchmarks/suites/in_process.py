"""`FeatureStore` in process against a bare redis-py HMGET of the same fields, and what it costs to observe a read."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pkgutil import resolve_name
from statistics import median
from unittest.mock import patch

from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis

from benchmarks import customers, goals
from benchmarks.customers import FIVE, customer_id
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.turns import cpu_us
from featurehub.access.models import Scope, create_api_key
from featurehub.http.handler import Handler
from featurehub.lib.gc_tuning import freeze_loaded_objects
from featurehub.lib.traffic import Answer, Traffic
from featurehub.observability.ids import REQUEST_ID_HEADER
from features.serving.feature_store import FeatureStore

CUSTOMERS = 1_000
# A run takes so many turns of so many calls: what else the machine does meets both sides alike.
TURNS, CALLS, UNCOUNTED = 400, 40, 10


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=10 makes a tenth of the calls."""
    freeze_loaded_objects()  # as a web worker does
    get_redis_connection("default").flushdb()
    values = settings.LOCAL_DIR / "in_process.parquet"
    customers.write_values(values, customers=CUSTOMERS)
    customers.publish(values)
    return [store_beside_hmget(), observed_beside_unobserved()]


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


def observed_beside_unobserved() -> Row:
    """Return the CPU of the WSGI call that reads a cached customer, with and without what observes it.

    That is all that is not needed for the answer: counts, times, ages, the id of the request, the choice of traces.
    """
    read = wsgi_read()
    observed_us, unobserved_us = cpu_in_turn(
        read, read, around=(partial(observation, is_on=True), partial(observation, is_on=False))
    )
    return Row(
        work="a cached read observed, beside one unobserved: CPU per WSGI call",
        figures=observed_us,
        unit="µs",
        against="floor",
        references=unobserved_us,
        goal=goals.OBSERVATION,
    )


def cpu_in_turn(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    around: tuple[Callable[[], AbstractContextManager[object]], ...] = (nullcontext, nullcontext),
) -> tuple[list[float], list[float]]:
    """Return the CPU time of a call of each, in microseconds, for each run.

    The median of many short turns, whose order changes: Linux may move Redis to the other processor between two of
    them, which makes a third of a difference.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        turns: tuple[list[float], list[float]] = ([], [])
        for turn in range(scaled(TURNS)):
            for side in (0, 1) if turn % 2 else (1, 0):
                with around[side]():
                    for _ in range(UNCOUNTED):  # of what was changed, Python's caches are filled again
                        (first, second)[side]()
                    turns[side].append(cpu_us({"": (first, second)[side]}, rounds=1, calls=CALLS)[""][0])
        for side in (0, 1):
            taken[side].append(median(turns[side]))
    return taken


def wsgi_read() -> Callable[[], object]:
    """Return a function that lets the handler read five features of a cached customer, as granian calls it."""
    _, key = create_api_key("benchmarks", scopes=[Scope.READ])
    handler = Handler()
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/api/v1/customers/{customer_id(7)}/features/",
        "QUERY_STRING": f"names={','.join(FIVE)}",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Api-Key {key}",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    return lambda: handler({**environ}, lambda status, headers: None)


NO_HEADER = (REQUEST_ID_HEADER, "")


class NoTraffic(Traffic):
    """Counts nothing."""

    def note_answer(self, answer: Answer, seconds: float) -> None:
        pass

    def note_hits(self, number: int) -> bool:
        return False


def observation(*, is_on: bool) -> ExitStack:
    """Return a context in which nothing of a read is counted, timed or named, or one that is as much work to enter."""
    stack, nothing = ExitStack(), NoTraffic()
    for place, substitute in {
        "featurehub.http.endpoints.traffic": nothing,
        "featurehub.http.endpoints.perf_counter": float,
        "featurehub.http.handler.begin_request": lambda environ: NO_HEADER,
        "features.serving.read_path.traffic": nothing,
    }.items():
        stack.enter_context(patch(place, resolve_name(place) if is_on else substitute))
    return stack
