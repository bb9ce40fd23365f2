"""FeatureHub and Feast with the same customers, and the same reads as requests to each."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.conf import settings
from django_redis import get_redis_connection

from benchmarks import customers, servers
from benchmarks.customers import CUSTOMERS, customer_id
from benchmarks.load import Load, MissingTool, Request, saturate
from benchmarks.pace import pace
from benchmarks.rows import aligned, text
from benchmarks.servers import Server
from featurehub.access.models import Scope, create_api_key

FEAST_DATABASE = 1  # of the same Redis server
DIFFERENT_REQUESTS = 1_000
# Sides of a benchmark. The last one is the same server as FEAST, asked for a feature service that is precomputed.
FEATUREHUB, FEAST, PRECOMPUTED, FLOOR = "FeatureHub", "Feast", "Feast, precomputed", "bare function"

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

    @property
    def all_cpu_ms(self) -> float:
        return self.cpu_ms + self.redis_cpu_ms


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
    """Run FeatureHub and Feast with the same values. Yield the servers by side."""
    repository = load_both(synthetic=synthetic)
    with servers.featurehub(key=reader_key()) as featurehub, servers.feast(repository) as feast:
        yield {FEATUREHUB: featurehub, FEAST: feast, **({PRECOMPUTED: feast} if synthetic else {})}


def reader_key() -> str:
    """Return a new API key with every scope."""
    return create_api_key("benchmark", scopes=[Scope.READ, Scope.WRITE, Scope.INGEST])[1]


def requests_to(
    sides: Iterable[str], *, per_request: int, names: Sequence[str], known: bool = True
) -> dict[str, list[Request]]:
    """Return the same reads as requests to each side: of random customers that are `known`, or that no store has."""
    draw = random.Random(2)
    name_of = customer_id if known else customers.missing_id
    batches = [[name_of(draw.randrange(CUSTOMERS)) for _ in range(per_request)] for _ in range(DIFFERENT_REQUESTS)]
    forms = {
        FEATUREHUB: featurehub_request, FLOOR: featurehub_request,
        FEAST: feast_request, PRECOMPUTED: precomputed_request,
    }  # fmt: skip
    return {side: [forms[side](batch, names=names) for batch in batches] for side in sides}


def featurehub_request(customer_ids: Sequence[str], *, names: Sequence[str]) -> Request:
    """Return a read of the named values of these customers from FeatureHub."""
    if len(customer_ids) == 1:
        return Request("GET", f"/api/v1/customers/{customer_ids[0]}/features/?names={','.join(names)}")
    return Request("POST", "/api/v1/features/batch/", as_text({"customer_ids": customer_ids, "names": names}))


def feast_request(customer_ids: Sequence[str], *, names: Sequence[str]) -> Request:
    """Return the same read from Feast by the features' names: a feature service of them costs it twice as much."""
    selection = {"features": [f"{customers.feast_view(name)}:{name}" for name in names]}
    return online_features(customer_ids, selection)


def precomputed_request(customer_ids: Sequence[str], *, names: Sequence[str]) -> Request:
    """Return the same read of a precomputed feature service, which has as many features.

    Feast stores such vectors under the full names, and answers with an error unless a request asks for those.
    """
    return online_features(customer_ids, {"feature_service": f"precomputed_{len(names)}", "full_feature_names": True})


def online_features(customer_ids: Sequence[str], selection: Mapping[str, object]) -> Request:
    """Return a read of these customers from Feast."""
    body = {**selection, "entities": {"customer_id": customer_ids}}
    return Request("POST", "/get-online-features", as_text(body))


def as_text(body: Mapping[str, object]) -> str:
    return json.dumps(body, separators=(",", ":"))


def turn(server: Server, requests: Sequence[Request], *, seconds: int, connections: int) -> Measured:
    """Measure one turn of as much load as the server takes."""
    return measured(
        server,
        lambda: saturate(server.port, requests, headers=server.headers, seconds=seconds, connections=connections),
    )


def paced_turn(server: Server, requests: Sequence[Request], *, per_second: float, number: int) -> Measured:
    """Measure one turn of `number` requests at a fixed rate."""
    return measured(
        server, lambda: pace(server.port, requests, headers=server.headers, number=number, per_second=per_second)
    )


def measured(server: Server, send: Callable[[], Load]) -> Measured:
    """Measure a load, and the CPU time that the server and Redis take for it."""
    redis_before, before = redis_cpu_seconds(), server.cpu_seconds()
    load = send()
    requests = max(load.requests, 1)
    return Measured(
        load=load,
        cpu_ms=(server.cpu_seconds() - before) / requests * 1e3,
        redis_cpu_ms=(redis_cpu_seconds() - redis_before) / requests * 1e3,
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
        is_past_saturation=any(load.is_past_saturation for load in loads),
    )


def redis_cpu_seconds() -> float:
    """Return the user and system time that Redis has used."""
    used = get_redis_connection("default").info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def side_by_side(sides: Mapping[str, Measured]) -> str:
    """Return a table of CPU, latency and rate: none of them is enough on its own."""
    lines = [("", "CPU ms", "Redis CPU ms", "p50 ms", "p99 ms", "requests/s", "errors")]
    for name, each in sides.items():
        load = each.load
        numbers = (each.cpu_ms, each.redis_cpu_ms, load.p50_ms, load.p99_ms, load.per_second)
        lines.append((name, *(text(number) for number in numbers), str(load.errors)))
    return aligned(lines)
