"""One customer and 100 customers × five features over HTTP: FeatureHub, Feast, and a bare WSGI function."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import peers, servers
from benchmarks.customers import FIVE
from benchmarks.load import Load, Request
from benchmarks.pace import pace
from benchmarks.peers import Measured
from benchmarks.rows import Row
from benchmarks.servers import Server

ROUNDS = 5
SECONDS = 4.0
CONNECTIONS = 4
PER_BATCH = 100


class DifferentAnswers(Exception):
    """Answers with different values: the stores do not hold the same, so nothing can be compared."""


def run() -> list[Row]:
    with peers.both() as both, servers.floor() as floor:
        single = peers.requests_to_both(per_request=1, names=FIVE, feast_features=peers.FEAST_FIVE)
        batch = peers.requests_to_both(per_request=PER_BATCH, names=FIVE, feast_features=peers.FEAST_FIVE)
        compare_answers(both, single)
        compare_answers(both, batch)
        singles = rounds({**both, "floor": floor}, {**single, "floor": peers.floor_requests()}, title="1 × 5")
        batches = rounds(both, batch, title=f"{PER_BATCH} × 5")
        calm = at_one_rate(
            {"featurehub": both["featurehub"], "floor": floor},
            single["featurehub"],
            per_second=singles["featurehub"].load.per_second / 2,
        )
    return [
        row("one customer, 5 features: CPU per request", singles, against="feast", at_most=0.25),
        row("one customer, 5 features: CPU per request", singles, against="floor"),
        Row(
            work="one customer, 5 features: p99 at half the saturation rate",
            figure=calm["featurehub"].p99_ms,
            unit="ms",
            at_most=10.0,
            runs=ROUNDS,
            details=asdict(calm["featurehub"]),
        ),
        Row(
            work="the floor's p99 at the same rate",
            figure=calm["floor"].p99_ms,
            unit="ms",
            runs=ROUNDS,
            details=asdict(calm["floor"]),
        ),
        row(f"{PER_BATCH} customers × 5 features: CPU per request", batches, against="feast", at_most=1 / 15),
    ]


def compare_answers(both: Mapping[str, Server], requests: Mapping[str, Sequence[Request]]) -> None:
    """Raise DifferentAnswers where the answers to the first request have different values."""
    answers = {name: ask(both[name], requests[name][0]) for name in both}
    ours = answers["featurehub"].get("results", [answers["featurehub"]])
    columns = zip(answers["feast"]["metadata"]["feature_names"], answers["feast"]["results"], strict=True)
    theirs = {name: column["values"] for name, column in columns if name in FIVE}
    if {name: [row["features"][name] for row in ours] for name in FIVE} != theirs:
        raise DifferentAnswers(json.dumps(answers)[:2000])


def ask(server: Server, request: Request) -> dict[str, Any]:
    """Return the answer to a request, parsed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(request.method, request.path, body=request.body or None, headers=dict(server.headers))
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def rounds(
    sides: Mapping[str, Server], requests: Mapping[str, Sequence[Request]], *, title: str
) -> dict[str, Measured]:
    """Return each side's median turn, by CPU per request, after a turn to warm up."""
    turns: dict[str, list[Measured]] = {name: [] for name in sides}
    for name in sides:
        peers.turn(sides[name], requests[name], seconds=1.0, connections=CONNECTIONS)
    for name in servers.in_turn(list(sides), rounds=ROUNDS):
        turns[name].append(peers.turn(sides[name], requests[name], seconds=SECONDS, connections=CONNECTIONS))
    medians = {name: peers.median_turn(measured) for name, measured in turns.items()}
    print(f"{title}, medians of {ROUNDS} turns of {SECONDS:g} s, {CONNECTIONS} connections")
    print(peers.side_by_side(medians), flush=True)
    return medians


def at_one_rate(sides: Mapping[str, Server], requests: Sequence[Request], *, per_second: float) -> dict[str, Load]:
    """Return each side's median turn at the same rate."""
    turns: dict[str, list[Load]] = {name: [] for name in sides}
    for name in servers.in_turn(list(sides), rounds=ROUNDS):
        server = sides[name]
        load = pace(server.port, requests, headers=server.headers, seconds=SECONDS, per_second=per_second)
        turns[name].append(load)
    return {name: peers.median_load(loads) for name, loads in turns.items()}


def row(work: str, measured: Mapping[str, Measured], *, against: str, at_most: float | None = None) -> Row:
    """Return the row of FeatureHub's CPU per request against another side's."""
    return Row(
        work=f"{work} against {against}",
        figure=measured["featurehub"].cpu_ms,
        unit="ms",
        against="floor" if against == "floor" else "peer",
        reference=measured[against].cpu_ms,
        at_most=at_most,
        runs=ROUNDS,
        details={name: asdict(measured[name]) for name in ("featurehub", against)},
    )
