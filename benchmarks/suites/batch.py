"""Full recompute, refresh before expiry and new weights, each beside its floor."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db.models.functions import Now
from django_redis import get_redis_connection

from benchmarks import events, goals
from benchmarks.batch_floors import floor_aggregation, floor_hashes, floor_history, leave_servers_alone
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


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=30 takes a thirtieth of the customers and their events."""
    customers = scaled(CUSTOMERS)
    require_disk(scaled(GIGABYTES))
    leave_servers_alone()
    tune_for_batch_work()  # as a worker does
    events.make_events(customers=customers // FEWER)
    small_mb = [recompute_all()[1] for _ in range(RUNS)]
    events.make_events(customers=customers)
    turns = [recompute_turn() for _ in range(RUNS)]
    everything = [cost for cost, _, _ in turns]
    floors = [sum(parts.values(), Spent()) for _, _, parts in turns]
    memory = Row(
        work=f"peak memory of a recompute of {customers:,} customers against {customers // FEWER:,}",
        figures=[mb for _, mb, _ in turns],
        unit="MB",
        against="peer",
        references=small_mb,
        goal=goals.RECOMPUTE_MEMORY,
    )
    recomputed = Row(
        work=f"full recompute of {customers:,} customers",
        figures=[cost.cpu for cost in everything],
        unit="CPU s",
        against="floor",
        references=[floor.cpu for floor in floors],
        goal=goals.RECOMPUTE,
        details={
            "wall": [cost.wall for cost in everything],
            "floor_wall": [floor.wall for floor in floors],
            "floors": [{name: part.cpu for name, part in parts.items()} for _, _, parts in turns],
        },
    )
    return [recomputed, memory, refresh_row(everything=everything), weights_row(customers)]


def recompute_turn() -> tuple[Spent, int, dict[str, Spent]]:
    """Return the cost and peak memory of a full recompute, and the floors' cost of the same rows."""
    cost, peak_mb = recompute_all()
    return cost, peak_mb, {"aggregation": floor_aggregation(), "copy": floor_history(), "hset": floor_hashes()}


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


def refresh_row(*, everything: Sequence[Spent]) -> Row:
    """Return the turns of a refresh: all active customers are due, and one in a hundred has a new event.

    Before them stands a turn that does not count: Redis makes room for values that are longer than before.
    """
    active = active_customers()
    one_in = round(1 / CHANGED)
    turns = [refresh_turn(changed=active[number::one_in]) for number in range(1 + RUNS)][1:]
    return Row(
        work=f"refresh of {len(active):,} active customers of whom {len(active[::one_in]):,} changed",
        figures=[(marks + renewals).cpu for marks, renewals in turns],
        unit="CPU s",
        against="peer",
        references=[cost.cpu for cost in everything],
        goal=goals.REFRESH,
        details={
            "wall": [(marks + renewals).wall for marks, renewals in turns],
            "marks": [marks.cpu for marks, _ in turns],
            "renewals": [renewals.cpu for _, renewals in turns],
        },
    )


def active_customers() -> list[str]:
    return list(Customer.objects.filter(recompute_at__isnull=False).order_by("pk").values_list("pk", flat=True))


def refresh_turn(*, changed: Sequence[str]) -> tuple[Spent, Spent]:
    """Return the cost of the changed customers, and of the renewal of all."""
    now = datetime.now(UTC) - timedelta(seconds=1)
    for chunk in batched(changed, 10_000):
        ingest([NewEvent(customer_id=pk, event_type="page_view", timestamp=now) for pk in chunk])
    Renewal.objects.update(due_at=Now())
    return work(refresh.refresh_dirty), work(renewal.renew)


def weights_row(customers: int) -> Row:
    """Activate other weights, then re-score and publish everybody, in each run; no event is read."""
    turns = [weights_turn(page_view=0.25 + number / 100) for number in range(RUNS)]
    floors = [copied + hashed for _, copied, hashed in turns]
    return Row(
        work=f"new weights live for {customers:,} customers",
        figures=[cost.cpu for cost, _, _ in turns],
        unit="CPU s",
        against="floor",
        references=[floor.cpu for floor in floors],
        goal=goals.NEW_WEIGHTS,
        details={
            "wall": [cost.wall for cost, _, _ in turns],
            "floor_wall": [floor.wall for floor in floors],
            "copy": [copied.cpu for _, copied, _ in turns],
            "hset": [hashed.cpu for _, _, hashed in turns],
        },
    )


def weights_turn(*, page_view: float) -> tuple[Spent, Spent, Spent]:
    """Return the cost of new weights, of a COPY of the rows that they append, and of the HSETs."""
    since = database_now()
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
    return cost, floor_history(since=since), floor_hashes()


def work(step: Callable[[], int]) -> Spent:
    """Return the cost of a step that is repeated until it returns 0."""
    with spent() as cost:
        while step():
            pass
    return cost
