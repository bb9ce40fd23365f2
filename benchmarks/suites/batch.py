"""Full recompute, refresh before expiry and new weights, each beside its floor."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from django.db.models.functions import Now
from django_redis import get_redis_connection

from benchmarks import events, goals
from benchmarks.batch_floors import floor_aggregation, floor_hashes, floor_history, leave_servers_alone, vacuum
from benchmarks.machine import require_disk
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.servers import PROJECT
from benchmarks.spent import Spent, spent
from events.ingest import ingest
from events.validation import NewEvent
from featurehub.lib.batched import batched
from featurehub.lib.gc_tuning import tune_for_batch_work
from features.lifecycle import weight_set_steps
from features.materialization import refresh, renewal, rescore, runs
from features.materialization.locks import database_now
from features.models import Customer, Renewal
from features.registry.weight_sets import active_set, as_weights, with_changes

CUSTOMERS = 1_000_000
# Peak memory is compared with that of this many times fewer customers.
FEWER = 30
CHANGED = 0.01
# Of disk: events, history, and PostgreSQL's log, which nothing clears meanwhile.
GIGABYTES = 40
SECONDS_BETWEEN_LOOKS = 0.1


class RecomputeTurn(NamedTuple):
    """The cost and peak memory of a full recompute, the cost of vacuuming its rows, and that of the floors."""

    cost: Spent
    peak_mb: int
    vacuumed: Spent
    floors: dict[str, Spent]


class RefreshTurn(NamedTuple):
    """The cost of computing the customers who changed, and of renewing all active ones."""

    marks: Spent
    renewals: Spent


class WeightsTurn(NamedTuple):
    """The cost of new weights, of vacuuming their rows, of a COPY of the rows that they append, and of the HSETs."""

    cost: Spent
    vacuumed: Spent
    copied: Spent
    hashed: Spent


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=30 takes a thirtieth of the customers and their events."""
    customers = scaled(CUSTOMERS)
    require_disk(scaled(GIGABYTES))
    leave_servers_alone()
    tune_for_batch_work()  # as a worker does
    events.make_events(customers=customers // FEWER)
    small_mb = [recompute_all()[1] for _ in range(RUNS)]
    events.make_events(customers=customers)
    # In turn: the machine's speed changes by the hour.
    recomputes, refreshes = zip(*((recompute_turn(), second_refresh()) for _ in range(RUNS)), strict=True)
    memory = Row(
        work=f"peak memory of a recompute of {customers:,} customers against {customers // FEWER:,}",
        figures=[turn.peak_mb for turn in recomputes],
        unit="MB",
        against="peer",
        references=small_mb,
        goal=goals.RECOMPUTE_MEMORY,
    )
    everything = [turn.cost for turn in recomputes]
    return [
        recompute_row(customers, recomputes),
        memory,
        refresh_row(refreshes, everything=everything),
        weights_row(customers),
    ]


def recompute_row(customers: int, turns: Sequence[RecomputeTurn]) -> Row:
    floors = [sum(turn.floors.values(), Spent()) for turn in turns]
    return Row(
        work=f"full recompute of {customers:,} customers",
        figures=[turn.cost.cpu for turn in turns],
        unit="CPU s",
        against="floor",
        references=[floor.cpu for floor in floors],
        goal=goals.RECOMPUTE,
        details={
            "wall": [turn.cost.wall for turn in turns],
            "floor_wall": [floor.wall for floor in floors],
            "vacuum": [turn.vacuumed.cpu for turn in turns],
            "floors": [{name: part.cpu for name, part in turn.floors.items()} for turn in turns],
        },
    )


def recompute_turn() -> RecomputeTurn:
    cost, peak_mb = recompute_all()
    vacuumed = vacuum()
    floors = {"aggregation": floor_aggregation(), "copy": floor_history(), "hset": floor_hashes()}
    return RecomputeTurn(cost, peak_mb, vacuumed, floors)


def recompute_all() -> tuple[Spent, int]:
    """Recompute everybody in a process of its own, from the events to Redis, after all values are deleted.

    Return the cost to all processes that take part, and the process' peak memory in MB.
    """
    events.delete_values()
    get_redis_connection("default").flushdb()
    command = [sys.executable, "manage.py", "recompute"]
    peak_mb = 0
    with spent() as cost:
        process = subprocess.Popen(command, cwd=PROJECT)
        while process.poll() is None:
            peak_mb = max(peak_mb, peak_mb_of(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} has failed.")
    return cost, peak_mb


def peak_mb_of(pid: int) -> int:
    """Return the peak memory of a process, 0 where it has ended. `getrusage` would count that of its parent, too."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return 0


def refresh_row(turns: Sequence[RefreshTurn], *, everything: Sequence[Spent]) -> Row:
    active = len(active_customers())
    return Row(
        work=f"refresh of {active:,} active customers of whom {active * CHANGED:,.0f} changed",
        figures=[(turn.marks + turn.renewals).cpu for turn in turns],
        unit="CPU s",
        against="peer",
        references=[cost.cpu for cost in everything],
        goal=goals.REFRESH,
        details={
            "wall": [(turn.marks + turn.renewals).wall for turn in turns],
            "marks": [turn.marks.cpu for turn in turns],
            "renewals": [turn.renewals.cpu for turn in turns],
        },
    )


def second_refresh() -> RefreshTurn:
    """Return the second of two refreshes: at the first one, Redis makes room for values that are longer than before."""
    active = active_customers()
    return [refresh_turn(changed=active[number :: round(1 / CHANGED)]) for number in range(2)][-1]


def active_customers() -> list[str]:
    return list(Customer.objects.filter(recompute_at__isnull=False).order_by("pk").values_list("pk", flat=True))


def refresh_turn(*, changed: Sequence[str]) -> RefreshTurn:
    """Refresh: all active customers are due, and those who `changed` have a new event."""
    now = datetime.now(UTC) - timedelta(seconds=1)
    for chunk in batched(changed, 10_000):
        ingest([NewEvent(customer_id=pk, event_type="page_view", timestamp=now) for pk in chunk])
    Renewal.objects.update(due_at=Now())
    vacuum()
    return RefreshTurn(marks=work(refresh.refresh_dirty), renewals=work(renewal.renew))


def weights_row(customers: int) -> Row:
    """Activate other weights, then re-score and publish everybody, in each run; no event is read."""
    turns = [weights_turn(page_view=0.25 + number / 100) for number in range(RUNS)]
    floors = [turn.copied + turn.hashed for turn in turns]
    return Row(
        work=f"new weights live for {customers:,} customers",
        figures=[turn.cost.cpu for turn in turns],
        unit="CPU s",
        against="floor",
        references=[floor.cpu for floor in floors],
        goal=goals.NEW_WEIGHTS,
        details={
            "wall": [turn.cost.wall for turn in turns],
            "floor_wall": [floor.wall for floor in floors],
            "vacuum": [turn.vacuumed.cpu for turn in turns],
            "copy": [turn.copied.cpu for turn in turns],
            "hset": [turn.hashed.cpu for turn in turns],
        },
    )


def weights_turn(*, page_view: float) -> WeightsTurn:
    since = database_now()
    cost = new_weights(page_view=page_view)
    return WeightsTurn(cost, vacuum(), floor_history(since=since), floor_hashes())


def new_weights(*, page_view: float) -> Spent:
    """Return the cost of weights that go live, in which that of a page view is another one."""
    numbers = with_changes(
        as_weights(active_set("1.0")), changes={"page_view": {"weight": page_view}}, monetary_norm=None
    )
    draft = weight_set_steps.draft_weight_set(
        version="1.0", name=f"Benchmark {page_view}", reason="To be measured", numbers=numbers, by=None
    )
    with spent() as cost:
        run = weight_set_steps.activate(draft.pk, by=None, reason="To be measured")
        while rescore.rescore(run) or not runs.finish_rescore(run):
            pass
    return cost


def work(step: Callable[[], int]) -> Spent:
    """Return the cost of a step that is repeated until it returns 0."""
    with spent() as cost:
        while step():
            pass
    return cost
