"""Full recompute, refresh before expiry and new weights, each beside its floor."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db.models.functions import Now
from django_redis import get_redis_connection

from benchmarks import events
from benchmarks.batch_floors import floor_aggregation, floor_hashes, floor_history, leave_servers_alone
from benchmarks.rows import Row
from benchmarks.servers import PROJECT
from benchmarks.spent import Spent, spent
from events.ingest import ingest
from events.validation import NewEvent
from featurehub.lib.batched import batched
from featurehub.lib.gc_tuning import freeze_loaded_objects
from features.lifecycle import weight_set_steps
from features.materialization import refresh, renewal, rescore, runs
from features.materialization.locks import database_now
from features.models import Customer, Renewal
from features.registry.weight_sets import active_set, as_weights, with_changes

CUSTOMERS = 1_000_000
# Peak memory is compared with that of this many times fewer customers.
FEWER = 30
CHANGED = 0.01
REFRESHES = 3
SECONDS_BETWEEN_LOOKS = 0.1


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=30 takes a thirtieth of the customers and their events."""
    customers = round(CUSTOMERS / float(os.environ.get("BENCH_SCALE", "1")))
    leave_servers_alone()
    freeze_loaded_objects()  # as a worker does
    events.make_events(customers=customers // FEWER)
    _, small_mb = recompute_all()
    events.make_events(customers=customers)
    everything, peak_mb = recompute_all()
    memory = Row(
        work=f"peak memory of a recompute of {customers:,} customers against {customers // FEWER:,}",
        figure=peak_mb,
        unit="MB",
        against="peer",
        reference=small_mb,
        at_most=1.5,
    )
    aggregated, copied = floor_aggregation(), floor_history()
    refreshed = refresh_row(everything=everything)
    hashed = floor_hashes()
    floor = aggregated + copied + hashed
    recomputed = Row(
        work=f"full recompute of {customers:,} customers",
        figure=everything.cpu,
        unit="CPU s",
        against="floor",
        reference=floor.cpu,
        at_most=3.0,
        details={
            "wall": everything.wall, "floor_wall": floor.wall, "aggregation": aggregated.cpu,
            "copy": copied.cpu, "hset": hashed.cpu,
        },
    )  # fmt: skip
    return [recomputed, memory, refreshed, weights_row(customers)]


def recompute_all() -> tuple[Spent, int]:
    """Recompute everybody in a process of its own, where nothing was computed before, from the events to Redis.

    Return the cost to all processes that take part, and the process' peak memory in MB.
    """
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


def refresh_row(*, everything: Spent) -> Row:
    """Return the median turn of a refresh: all active customers are due, and one in a hundred has a new event.

    In the first turn Redis makes room for values that are longer than before.
    """
    active = list(Customer.objects.filter(recompute_at__isnull=False).order_by("pk").values_list("pk", flat=True))
    one_in = round(1 / CHANGED)
    turns = [refresh_turn(changed=active[number::one_in]) for number in range(REFRESHES)]
    marks, renewals = sorted(turns, key=lambda turn: (turn[0] + turn[1]).cpu)[len(turns) // 2]
    whole = marks + renewals
    return Row(
        work=f"refresh of {len(active):,} active customers of whom {len(active[::one_in]):,} changed",
        figure=whole.cpu,
        unit="CPU s",
        against="peer",
        reference=everything.cpu,
        at_most=0.1,
        runs=REFRESHES,
        details={
            "wall": whole.wall, "recompute_wall": everything.wall, "marks": marks.cpu, "renewals": renewals.cpu,
            "turns": [(marks + renewals).cpu for marks, renewals in turns],
        },
    )  # fmt: skip


def refresh_turn(*, changed: Sequence[str]) -> tuple[Spent, Spent]:
    """Return the cost of the changed customers, and of the renewal of all."""
    now = datetime.now(UTC) - timedelta(seconds=1)
    for chunk in batched(changed, 10_000):
        ingest([NewEvent(customer_id=pk, event_type="page_view", timestamp=now) for pk in chunk])
    Renewal.objects.update(due_at=Now())
    return work(refresh.refresh_dirty), work(renewal.renew)


def weights_row(customers: int) -> Row:
    """Activate other weights, then re-score and publish everybody; no event is read."""
    since = database_now()
    active = active_set("1.0")
    numbers = with_changes(as_weights(active), changes={"page_view": {"weight": 0.25}}, monetary_norm=None)
    draft = weight_set_steps.draft_weight_set(
        version="1.0", name="Benchmark", reason="To be measured", numbers=numbers, by=None
    )
    with spent() as cost:
        run = weight_set_steps.activate(draft.pk, by=None, reason="To be measured")
        while rescore.rescore(run) or not runs.finish_rescore(run):
            pass
    copied, hashed = floor_history(since=since), floor_hashes()
    floor = copied + hashed
    return Row(
        work=f"new weights live for {customers:,} customers",
        figure=cost.cpu,
        unit="CPU s",
        against="floor",
        reference=floor.cpu,
        at_most=2.0,
        details={"wall": cost.wall, "floor_wall": floor.wall, "copy": copied.cpu, "hset": hashed.cpu},
    )


def work(step: Callable[[], int]) -> Spent:
    """Return the cost of a step that is repeated until it returns 0."""
    with spent() as cost:
        while step():
            pass
    return cost
