"""Reads over HTTP at saturation: FeatureHub, Feast in its plain and its best configuration, and a bare WSGI function.

One and 100 customers × 5 and × 250 features, without a front and with each side behind an nginx of its own.
"""

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from benchmarks import goals, peers, servers
from benchmarks.customers import FIVE, SYNTHETIC
from benchmarks.front import fronted
from benchmarks.goals import Goal
from benchmarks.load import Request
from benchmarks.peers import FEAST, FEATUREHUB, FLOOR, PRECOMPUTED, Measured
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.servers import Server

SECONDS = scaled(4)
CONNECTIONS = 4
PER_BATCH = 100
WIDE = SYNTHETIC[:250]
# Feast takes a quarter of a second for a wide batch: of few requests, none may be left half done at the end of a turn.
WIDE_SECONDS, WIDE_CONNECTIONS = scaled(10), 1
LEAST_FOR_A_P99 = 1_000  # requests
FRONTS: Mapping[str, Callable[[Mapping[str, Server]], AbstractContextManager[Mapping[str, Server]]]] = {
    "": nullcontext,
    ", behind nginx": fronted,
}

# Side → its turns, in the order of the runs.
Turns = Mapping[str, Sequence[Measured]]


class DifferentAnswers(Exception):
    """Answers with different values: the stores do not hold the same, so nothing can be compared."""


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=8 takes an eighth of the time."""
    rows: list[Row] = []
    with peers.both() as both, servers.floor() as floor:
        for where, front in FRONTS.items():
            with front({**both, FLOOR: floor}) as sides:
                rows += narrow_rows(sides, where=where)
    with peers.both(synthetic=len(WIDE)) as both:
        for where, front in FRONTS.items():
            with front(both) as sides:
                rows += wide_rows(sides, where=where)
    return rows


def narrow_rows(sides: Mapping[str, Server], *, where: str) -> list[Row]:
    """Return the rows of one and 100 customers × 5 features."""
    singles = rounds(sides, per_request=1, names=FIVE, title=f"1 × 5{where}")
    stores = {side: server for side, server in sides.items() if side != FLOOR}
    batches = rounds(stores, per_request=PER_BATCH, names=FIVE, title=f"{PER_BATCH} × 5{where}")
    is_direct = not where
    return [
        cpu_row(
            f"one customer × 5 features{where}", singles, against=FEAST,
            goal=goals.SINGLE_AGAINST_FEAST if is_direct else goals.SINGLE_BEHIND_THE_FRONT,
        ),
        cpu_row(
            f"one customer × 5 features{where}", singles, against=FLOOR,
            goal=goals.SINGLE_AGAINST_FUNCTION if is_direct else None,
        ),
        calm_row({side: sides[side] for side in (FEATUREHUB, FLOOR)}, singles, where=where),
        cpu_row(
            f"{PER_BATCH} customers × 5 features{where}", batches, against=FEAST,
            goal=goals.BATCH_AGAINST_FEAST if is_direct else None,
        ),
    ]  # fmt: skip


def wide_rows(sides: Mapping[str, Server], *, where: str) -> list[Row]:
    """Return the rows of one and 100 customers × 250 features, against Feast as it is better, Redis' CPU counted in."""
    rows = []
    for customers, what in ((1, "one customer"), (PER_BATCH, f"{PER_BATCH} customers")):
        turns = rounds(
            sides, per_request=customers, names=WIDE, title=f"{customers} × {len(WIDE)}{where}",
            seconds=WIDE_SECONDS, connections=WIDE_CONNECTIONS,
        )  # fmt: skip
        best = min((FEAST, PRECOMPUTED), key=lambda side: peers.median_turn(turns[side]).all_cpu_ms)
        rows.append(
            Row(
                work=f"{what} × {len(WIDE)} features{where}: CPU per request with Redis', against {best}",
                figures=[turn.all_cpu_ms for turn in turns[FEATUREHUB]],
                unit="ms",
                against="peer",
                references=[turn.all_cpu_ms for turn in turns[best]],
                goal=None if where else goals.WIDE_AGAINST_FEAST,
                details=medians(turns),
            )
        )
    return rows


def cpu_row(work: str, turns: Turns, *, against: str, goal: Goal | None) -> Row:
    """Return the row of FeatureHub's CPU per request against another side's."""
    return Row(
        work=f"{work}: CPU per request against {against}",
        figures=[turn.cpu_ms for turn in turns[FEATUREHUB]],
        unit="ms",
        against="floor" if against == FLOOR else "peer",
        references=[turn.cpu_ms for turn in turns[against]],
        goal=goal,
        details=medians({side: turns[side] for side in (FEATUREHUB, against)}),
    )


def calm_row(sides: Mapping[str, Server], saturated: Turns, *, where: str) -> Row:
    """Return the p99 of single reads at half of FeatureHub's saturation rate, against the function's at that rate."""
    per_second = peers.median_turn(saturated[FEATUREHUB]).load.per_second / 2
    requests = peers.requests_to(sides, per_request=1, names=FIVE)
    number = max(round(per_second * SECONDS), scaled(LEAST_FOR_A_P99))
    turns: dict[str, list[Measured]] = {side: [] for side in sides}
    for side in servers.in_turn(list(sides), rounds=RUNS):
        turns[side].append(peers.paced_turn(sides[side], requests[side], per_second=per_second, number=number))
    return Row(
        work=f"one customer × 5 features{where}: p99 at half the saturation rate against {FLOOR}",
        figures=[turn.load.p99_ms for turn in turns[FEATUREHUB]],
        unit="ms",
        against="floor",
        references=[turn.load.p99_ms for turn in turns[FLOOR]],
        goal=None if where else goals.SINGLE_P99_AGAINST_FUNCTION,
        details=medians(turns),
    )


def rounds(
    sides: Mapping[str, Server], *, per_request: int, names: Sequence[str], title: str,
    seconds: int = SECONDS, connections: int = CONNECTIONS,
) -> Turns:  # fmt: skip
    """Return each side's turns of as much load as it takes, after answers are compared and a turn to warm up."""
    requests = peers.requests_to(sides, per_request=per_request, names=names)
    compare_answers(sides, requests, names=names)
    turns: dict[str, list[Measured]] = {side: [] for side in sides}
    for side, server in sides.items():
        peers.turn(server, requests[side], seconds=1, connections=connections)
    for side in servers.in_turn(list(sides), rounds=RUNS):
        turns[side].append(peers.turn(sides[side], requests[side], seconds=seconds, connections=connections))
    print(f"{title}, medians of {RUNS} turns of {seconds} s, {connections} connections")
    print(peers.side_by_side({side: peers.median_turn(each) for side, each in turns.items()}), flush=True)
    return turns


def medians(turns: Turns) -> dict[str, Any]:
    """Return each side's median turn for the details of a row."""
    return {side: asdict(peers.median_turn(each)) for side, each in turns.items()}


# --- Answers ----------------------------------------------------------------------------------------------------------


def compare_answers(
    sides: Mapping[str, Server], requests: Mapping[str, Sequence[Request]], *, names: Sequence[str]
) -> None:
    """Raise DifferentAnswers where the answers to the first request have different values."""
    answers = {side: ask(server, requests[side][0]) for side, server in sides.items() if side != FLOOR}
    ours = answers[FEATUREHUB].get("results", [answers[FEATUREHUB]])
    expected = {name: [row["features"][name] for row in ours] for name in names}
    for side, answer in answers.items():
        if side != FEATUREHUB and feast_values(answer, names=names) != expected:
            raise DifferentAnswers(f"{side}: {json.dumps(answer)[:2000]}\n{json.dumps(expected)[:2000]}")


def feast_values(answer: Mapping[str, Any], *, names: Sequence[str]) -> dict[str, list[float]]:
    """Return name → the values of the customers in an answer of Feast's, whose full names begin with the view's."""
    if "results" not in answer:
        raise DifferentAnswers(json.dumps(answer)[:2000])
    columns = zip(answer["metadata"]["feature_names"], answer["results"], strict=True)
    short = {name.rpartition("__")[2]: column["values"] for name, column in columns}
    return {name: short.get(name, []) for name in names}


def ask(server: Server, request: Request) -> dict[str, Any]:
    """Return the answer to a request, parsed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(request.method, request.path, body=request.body or None, headers=dict(server.headers))
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer
