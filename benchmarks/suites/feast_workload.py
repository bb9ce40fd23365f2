"""Feast's own published workload: rows × features at 10 to 100 requests a second, for customers known and missing.

Latency counts from the moment a request was due. FeatureHub keeps a missing customer in Redis for a minute; the first
read of each goes to PostgreSQL.
"""

from dataclasses import asdict

from benchmarks import peers
from benchmarks.customers import SYNTHETIC
from benchmarks.load import Load
from benchmarks.pace import pace
from benchmarks.rows import Row, aligned, text

SIZES = ((1, 50), (1, 250), (100, 50), (100, 250))
RATES = (10, 50, 100)
SECONDS = 5.0
CONNECTIONS = 16
HELD = (100, 250, 50)
MOST_FEATURES = 250


def run() -> list[Row]:
    measured = {}
    lines = [("customers", "rows × features", "requests/s", "", "p50 ms", "p99 ms", "errors")]
    with peers.both(synthetic=MOST_FEATURES) as both:
        for known in (True, False):
            for rows, features in SIZES:
                requests = peers.requests_to_both(
                    per_request=rows,
                    names=SYNTHETIC[:features],
                    feast_features=f"features_{features}",
                    known=known,
                )
                for rate in RATES:
                    for name, server in both.items():
                        load = pace(
                            server.port,
                            requests[name],
                            headers=server.headers,
                            seconds=SECONDS,
                            per_second=rate,
                            connections=CONNECTIONS,
                        )
                        measured[known, rows, features, rate, name] = load
                        who = "known" if known else "missing"
                        shown = (text(load.p50_ms), text(load.p99_ms), str(load.errors))
                        lines.append((who, f"{rows} × {features}", str(rate), name, *shown))
    print(aligned(lines))
    return as_rows(measured)


def as_rows(measured: dict[tuple[bool, int, int, int, str], Load]) -> list[Row]:
    """Return FeatureHub's p99 against Feast's for each size and rate, and the errors of the largest."""
    rows = [
        Row(
            work=f"{size} × {features} {'known' if known else 'missing'} at {rate} requests/s: p99",
            figure=load.p99_ms,
            unit="ms",
            against="peer",
            reference=measured[known, size, features, rate, "feast"].p99_ms,
            details={"featurehub": asdict(load), "feast": asdict(measured[known, size, features, rate, "feast"])},
        )
        for (known, size, features, rate, name), load in measured.items()
        if name == "featurehub"
    ]
    held = measured[True, *HELD, "featurehub"]
    largest = Row(
        work="100 × 250 at 50 requests/s: errors", figure=held.errors, unit="errors", at_most=0, details=asdict(held)
    )
    return [*rows, largest]
