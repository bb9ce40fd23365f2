"""Feast's own published workload: rows × features at fixed rates, for customers known and missing.

Latency counts from the moment a request was due. Each rate sends as many requests as a 99th percentile needs; at
Feast's lowest rate, 10 requests a second, that would take 100 seconds a line for the same picture. FeatureHub keeps a
missing customer in Redis for a minute; the first read of each goes to PostgreSQL. Feast has no precomputed vectors of
missing customers, and answers such requests with an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from benchmarks import peers
from benchmarks.customers import SYNTHETIC
from benchmarks.front import fronted
from benchmarks.peers import FEATUREHUB, PRECOMPUTED, Measured
from benchmarks.rows import Row, aligned, text
from benchmarks.scale import scaled
from benchmarks.servers import Server

SIZES = ((1, 50), (1, 250), (100, 50), (100, 250))
RATES = (50, 100)
REQUESTS = 1_000
MOST_FEATURES = 250


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=20 sends a twentieth of the requests."""
    rows: list[Row] = []
    with peers.both(synthetic=MOST_FEATURES) as both, fronted(both) as behind:
        for where, sides in (("", both), (", behind nginx", behind)):
            for known in (True, False):
                rows += rows_of(sides, known=known, where=where)
    return rows


def rows_of(sides: Mapping[str, Server], *, known: bool, where: str) -> Iterator[Row]:
    """Yield the rows of every size and rate, and print what each side took."""
    asked = [side for side in sides if known or side != PRECOMPUTED]
    who = "known" if known else "missing"
    for customers, features in SIZES:
        requests = peers.requests_to(asked, per_request=customers, names=SYNTHETIC[:features], known=known)
        for rate in RATES:
            turns = {
                side: peers.paced_turn(sides[side], requests[side], per_second=rate, number=scaled(REQUESTS))
                for side in asked
            }
            work = f"{customers} × {features} {who} at {rate} requests/s{where}"
            print(f"{work}\n{in_a_table(turns)}", flush=True)
            yield row(work, turns)


def row(work: str, turns: Mapping[str, Measured]) -> Row:
    """Return FeatureHub's p99 against that of Feast as it is better; no figures where one is past saturation."""
    loads = {side: turn.load for side, turn in turns.items()}
    peer = min(
        (side for side in loads if side != FEATUREHUB),
        key=lambda side: (loads[side].is_past_saturation, loads[side].p99_ms),
    )
    late = [
        f"{side} takes {text(loads[side].per_second)} requests/s" for side in loads if loads[side].is_past_saturation
    ]
    ours, theirs = loads[FEATUREHUB], loads[peer]
    return Row(
        work=f"{work}: p99 against {peer}",
        figures=[] if ours.is_past_saturation else [ours.p99_ms],
        unit="ms",
        against="peer",
        references=[] if theirs.is_past_saturation else [theirs.p99_ms],
        note=f"past saturation: {', '.join(late)}" if late else "",
        details={side: asdict(turn) for side, turn in turns.items()},
    )


def in_a_table(turns: Mapping[str, Measured]) -> str:
    """Return what each side took: CPU per request, Redis' too, and the latency unless it is past saturation."""
    lines = [("", "CPU ms", "Redis CPU ms", "p50 ms", "p99 ms", "requests/s", "errors")]
    for side, turn in turns.items():
        load = turn.load
        latency = ("past", "saturation") if load.is_past_saturation else (text(load.p50_ms), text(load.p99_ms))
        cpu = (text(turn.cpu_ms), text(turn.redis_cpu_ms))
        lines.append((side, *cpu, *latency, text(load.per_second), str(load.errors)))
    return aligned(lines)
