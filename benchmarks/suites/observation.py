"""What it costs to observe a read: CPU per request of the pool `reads`, beside the same reads that nothing observes."""

from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import cycle, islice

from django.conf import settings

from benchmarks import customers, goals, peers, servers
from benchmarks.customers import CUSTOMERS, FIVE
from benchmarks.load import Request
from benchmarks.peers import FEATUREHUB
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.servers import SWITCH, Server
from benchmarks.turns import figure_and_reference

# A run takes so many short turns with and as many without: what else the machine does meets both alike.
TURNS, READS = 500, 40
ON, OFF, NOW = "on", "off", "now"


def run() -> list[Row]:
    """Return the row. BENCH_SCALE=10 takes a tenth of the turns."""
    customers.load(settings.LOCAL_DIR / "observation.parquet", customers=CUSTOMERS)
    observed, unobserved = [], []
    for _ in range(RUNS):
        with servers.switched(key=peers.reader_key()) as server:
            figure, reference = figure_and_reference(turns_of(server))
        observed.append(figure)
        unobserved.append(reference)
    return [
        Row(
            work="a cached read of one customer × 5 observed, beside one unobserved: CPU per request",
            figures=observed,
            unit="µs",
            against="floor",
            references=unobserved,
            goal=goals.OBSERVATION,
        )
    ]


def turns_of(server: Server) -> list[tuple[float, float]]:
    """Return the CPU time of a request observed and of one unobserved, in microseconds, of each turn."""
    [requests] = peers.requests_to([FEATUREHUB], per_request=1, names=FIVE).values()
    reads = cycle(requests)
    connection = HTTPConnection("127.0.0.1", server.port)
    turns = []
    for number in range(scaled(TURNS)):
        cost = {
            state: cpu_per_read(server, connection, islice(reads, READS), state=state)
            for state in ((ON, OFF) if number % 2 else (OFF, ON))
        }
        turns.append((cost[ON], cost[OFF]))
    return turns


def cpu_per_read(server: Server, connection: HTTPConnection, reads: Iterator[Request], *, state: str) -> float:
    """Return the CPU time of one of the reads in microseconds, with the observation on or off."""
    before = switch(connection, state)
    for read in reads:
        if (status := status_of(read, server, connection)) != 200:
            raise servers.NotStarted(f"The pool answers a read with {status}.")
    return (switch(connection, NOW) - before) / READS * 1e6


def status_of(read: Request, server: Server, connection: HTTPConnection) -> int:
    connection.request(read.method, read.path, headers=dict(server.headers))
    answer = connection.getresponse()
    answer.read()
    return answer.status


def switch(connection: HTTPConnection, state: str) -> float:
    """Switch the observation on or off, or leave it. Return the CPU seconds of the server's process so far."""
    connection.request("GET", f"{SWITCH}{state}")
    return float(connection.getresponse().read())
