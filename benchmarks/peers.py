"""FeatureHub and Feast with the same customers, and the same reads as requests to each."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.conf import settings
from django_redis import get_redis_connection

from benchmarks import customers, servers
from benchmarks.customers import CUSTOMERS, FIVE, customer_id
from benchmarks.load import Load, MissingTool, Request, saturate
from benchmarks.rows import aligned, text
from benchmarks.servers import Server
from featurehub.access.models import Scope, create_api_key

FEAST_DATABASE = 1  # of the same Redis server
DIFFERENT_REQUESTS = 1_000
FEAST_FIVE = [f"five:{name}" for name in FIVE]

FEAST_CONFIGURATION = """
project: featurehub_benchmark
provider: local
registry: {folder}/registry.db
entity_key_serialization_version: 3
online_store:
  type: redis
  connection_string: "{host}:{port},db={database},password={password}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One turn of load on one server; CPU in milliseconds a request. Redis' CPU is not part of the server's."""

    load: Load
    cpu_ms: float
    redis_cpu_ms: float


def load_both(*, synthetic: int) -> Path:
    """Load FeatureHub and Feast with the same values of five and `synthetic` features. Return Feast's repository."""
    if not servers.FEAST.exists():
        raise MissingTool("Feast is not installed: run make bench-serving.")
    folder = settings.LOCAL_DIR / "feast"
    folder.mkdir(exist_ok=True)
    values = folder / "values.parquet"
    client = get_redis_connection("default")
    client.flushall()
    customers.write_values(values, customers=CUSTOMERS, synthetic=synthetic)
    customers.register_synthetic(synthetic)
    customers.publish(values)
    where = client.connection_pool.connection_kwargs
    configuration = FEAST_CONFIGURATION.format(folder=folder, database=FEAST_DATABASE, **where)
    (folder / "feature_store.yaml").write_text(configuration)
    servers.run_in_feast(Path(__file__).parent / "feast_repo/load.py", folder, values)
    return folder


@contextmanager
def both(*, synthetic: int = 0) -> Iterator[dict[str, Server]]:
    """Run FeatureHub and Feast with the same values. Yield the servers by name."""
    repository = load_both(synthetic=synthetic)
    with servers.featurehub(key=reader_key()) as featurehub, servers.feast(repository) as feast:
        yield {"featurehub": featurehub, "feast": feast}


def reader_key() -> str:
    """Return a new API key with every scope."""
    return create_api_key("benchmark", scopes=[Scope.READ, Scope.WRITE, Scope.INGEST])[1]


def requests_to_both(
    *, per_request: int, names: Sequence[str], feast_features: str | Sequence[str], known: bool = True
) -> dict[str, list[Request]]:
    """Return the same reads as requests to each store: of random customers that are `known`, or that no store has."""
    draw = random.Random(2)
    name_of = customer_id if known else customers.missing_id
    batches = [[name_of(draw.randrange(CUSTOMERS)) for _ in range(per_request)] for _ in range(DIFFERENT_REQUESTS)]
    return {
        "featurehub": [featurehub_request(batch, names=names) for batch in batches],
        "feast": [feast_request(batch, features=feast_features) for batch in batches],
    }


def featurehub_request(customer_ids: Sequence[str], *, names: Sequence[str]) -> Request:
    """Return a read of the named values of these customers from FeatureHub."""
    if len(customer_ids) == 1:
        return Request("GET", f"/api/v1/customers/{customer_ids[0]}/features/?names={','.join(names)}")
    body = {"customer_ids": customer_ids, "names": names}
    return Request("POST", "/api/v1/features/batch/", json.dumps(body, separators=(",", ":")))


def feast_request(customer_ids: Sequence[str], *, features: str | Sequence[str]) -> Request:
    """Return a read of these customers from Feast.

    `features`: a feature service, or features by name, which costs Feast half as much.
    """
    selection = {"feature_service": features} if isinstance(features, str) else {"features": features}
    body = {**selection, "entities": {"customer_id": customer_ids}}
    return Request("POST", "/get-online-features", json.dumps(body, separators=(",", ":")))


def floor_requests() -> list[Request]:
    """Return the reads of one customer for the bare WSGI function."""
    return requests_to_both(per_request=1, names=FIVE, feast_features=FEAST_FIVE)["featurehub"]


def turn(server: Server, requests: Sequence[Request], *, seconds: float, connections: int) -> Measured:
    """Measure one turn of as much load as the server takes."""
    redis_before, before = redis_cpu_seconds(), server.cpu_seconds()
    load = saturate(server.port, requests, headers=server.headers, seconds=seconds, connections=connections)
    return Measured(
        load=load,
        cpu_ms=(server.cpu_seconds() - before) / load.requests * 1e3,
        redis_cpu_ms=(redis_cpu_seconds() - redis_before) / load.requests * 1e3,
    )


def median_turn(turns: Sequence[Measured]) -> Measured:
    """Return the median of each figure on its own."""
    return Measured(
        load=median_load([turn.load for turn in turns]),
        cpu_ms=median(turn.cpu_ms for turn in turns),
        redis_cpu_ms=median(turn.redis_cpu_ms for turn in turns),
    )


def median_load(loads: Sequence[Load]) -> Load:
    """Return the median of each figure on its own, and all errors."""
    return Load(
        requests=int(median(load.requests for load in loads)),
        seconds=median(load.seconds for load in loads),
        errors=sum(load.errors for load in loads),
        p50_ms=median(load.p50_ms for load in loads),
        p99_ms=median(load.p99_ms for load in loads),
    )


def redis_cpu_seconds() -> float:
    """Return the user and system time that Redis has used."""
    used = get_redis_connection("default").info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def side_by_side(measured: dict[str, Measured]) -> str:
    """Return a table of CPU, latency and rate: none of them is enough on its own."""
    lines = [("", "CPU ms", "Redis CPU ms", "p50 ms", "p99 ms", "requests/s", "errors")]
    for name, each in measured.items():
        load = each.load
        numbers = (each.cpu_ms, each.redis_cpu_ms, load.p50_ms, load.p99_ms, load.per_second)
        lines.append((name, *(text(number) for number in numbers), str(load.errors)))
    return aligned(lines)
