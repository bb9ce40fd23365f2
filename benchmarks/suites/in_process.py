"""`FeatureStore` in process against a bare redis-py HMGET of the same fields, and what it costs to observe a read."""

import io
from collections.abc import Callable
from contextlib import ExitStack
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
from featurehub.lib.traffic import Traffic
from features.serving.feature_store import FeatureStore

CALLS = 10_000
CUSTOMERS = 1_000
# A run takes turns so many times: what else the machine does then meets both sides alike.
TURNS = 40


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
    measured = cpu_us(
        {
            "FeatureStore": lambda: store.get_customer_features(customer, FIVE),
            "HMGET": lambda: client.hmget(f"customer_features:{customer}", fields),
        },
        rounds=RUNS,
        calls=scaled(CALLS),
    )
    return Row(
        work="get_customer_features in process, cached: CPU per call",
        figures=measured["FeatureStore"],
        unit="µs",
        against="floor",
        references=measured["HMGET"],
        goal=goals.IN_PROCESS,
    )


def observed_beside_unobserved() -> Row:
    """Return the CPU of the WSGI call that reads a cached customer, with and without what observes it.

    That is all that is not needed for the answer: counts, times, ages, the id of the request, the choice of traces.
    """
    read, calls = wsgi_read(), scaled(CALLS) // TURNS
    read()

    def observed() -> None:
        for _ in range(calls):
            read()

    def unobserved() -> None:
        with without_observation():
            observed()

    turns = cpu_us({"observed": observed, "unobserved": unobserved}, rounds=RUNS * TURNS, calls=1)
    per_call = {
        name: [sum(figures[turn : turn + TURNS]) / TURNS / calls for turn in range(0, len(figures), TURNS)]
        for name, figures in turns.items()
    }
    return Row(
        work="a cached read observed, beside one unobserved: CPU per WSGI call",
        figures=per_call["observed"],
        unit="µs",
        against="floor",
        references=per_call["unobserved"],
        goal=goals.OBSERVATION,
    )


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


class NoTraffic(Traffic):
    """Counts nothing."""

    def note_hits(self, number: int) -> bool:
        return False


def without_observation() -> ExitStack:
    """Return a context in which nothing of a read is counted, timed, named or chosen for a trace."""
    stack = ExitStack()
    for place, substitute in {
        "featurehub.http.endpoints.count_answer": lambda *_, **__: None,
        "featurehub.http.endpoints.perf_counter": lambda: 0.0,
        "featurehub.http.handler.begin_request": lambda environ: "",
        "features.serving.read_path.traffic": NoTraffic(),
    }.items():
        stack.enter_context(patch(place, substitute))
    return stack
