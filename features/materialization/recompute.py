"""Recompute everybody: an engine aggregates the events once, any number of workers load the result in chunks.

The activity stands in a table of its own until the last chunk is computed, appended and published. A worker that dies
leaves its chunk; whoever claims it next repeats it, to the same result. Memory is bounded by the chunk.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from events.tombstones import erased_among
from featurehub.lib.batched import batched
from featurehub.lib.errors import ConflictError
from featurehub.lib.progress import Progress
from features.engines import postgres
from features.engines.activity_sql import ACTIVITY_COLUMNS
from features.formulas.activity import Activity
from features.materialization import runs
from features.materialization.compute import record_activity
from features.materialization.computed_ranges import note_first_values
from features.materialization.isolation import active_customers, isolating
from features.materialization.locks import database_now, lock_customers, register_customers, register_marked_customers
from features.materialization.pipeline import Claim, claim_customers, process
from features.materialization.refresh import CUSTOMERS_PER_CHUNK
from features.models import Customer, FeatureVersion, Run
from features.offline.history import NO_CONTENTS, RowContents
from features.registry.snapshot import registry_snapshot

# Pages of the table of activity; these hold about 5,000 customers.
PAGES_PER_CHUNK = 100

COUNT_ROWS = "select count(*) from {table}"
MAKE_CHUNKS = """
insert into features_runchunk (run_id, number)
select %(run_id)s, number
from generate_series(0, (pg_relation_size(%(table)s) / current_setting('block_size')::int - 1) / %(pages)s) number
where pg_relation_size(%(table)s) > 0
"""
# A table that was made before an upgrade may have no `other_types`: the name then means that of `absent`.
READ_CHUNK = """
select chunk.* from (select null::text as other_types) absent
cross join lateral (
    select customer_id, {columns}, other_types, windowed from {table}
    where ctid >= %(first)s::tid and ctid < %(last)s::tid
) chunk
"""

# A function that fills the table as `postgres.aggregate_into` does: (table, as_of=…, window_days=…, features=…).
Engine = Callable[..., None]


def begin_recompute(*, engine: Engine = postgres.aggregate_into, as_of: datetime | None = None) -> Run:
    """Aggregate the events of everybody, at `as_of` or now, and leave the rest to `load_chunk`. Return the run."""
    register_marked_customers()
    moment = as_of or database_now()
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, as_of=moment, total=Customer.objects.count())
    aggregate_for_run(run, engine=engine)
    transaction.on_commit(partial(runs.enqueue_run, run))
    run.refresh_from_db()
    return run


def aggregate_for_run(run: Run, *, engine: Engine = postgres.aggregate_into) -> None:
    """Aggregate the events of everybody, at the run's moment or now; do nothing where another worker has done that.

    Versions that can't be aggregated are put aside, and the others are aggregated, unless the run is to compute one of
    those. Only PostgreSQL's errors say that a version is the reason.
    """
    with runs.failing(run):
        attempt = partial(aggregate_once, run, engine=engine)
        run.as_of = isolating(attempt, customer_ids=active_customers, needed=run.version)


def aggregate_once(run: Run, *, engine: Engine) -> datetime:
    """Aggregate the events for the run, unless another worker has given it its moment. Return that moment.

    It is one transaction, so a worker that dies leaves all of it to the next one. The run's row is locked meanwhile, so
    that the sweep does not take the run for stalled. Raises ConflictError where it has ended.
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().get(pk=run.pk)
        if held.state != Run.State.RUNNING:
            raise ConflictError(held.error or f"{held} has ended.")
        if held.as_of is not None and run.as_of is None:
            return held.as_of
        moment = held.as_of or database_now()
        features = registry_snapshot.get(younger_than=0).windowed
        engine(table_of(run), as_of=moment, window_days=settings.WINDOW_DAYS, features=features)
        make_chunks(run)
        Run.objects.filter(pk=run.pk).update(as_of=moment, updated_at=Now())
    return moment


def table_of(run: Run) -> str:
    """Return the name of the run's table of activity."""
    return f"features_activity_of_run_{run.pk}"


def make_chunks(run: Run) -> None:
    """Set the run's total, and divide its table of activity into chunks."""
    runs.set_total(run, total=divide(run))


def divide(run: Run) -> int:
    """Divide the run's table of activity into chunks. Return the number of its rows."""
    table = connection.ops.quote_name(table_of(run))
    with connection.cursor() as cursor:
        cursor.execute(MAKE_CHUNKS, {"run_id": run.pk, "table": table, "pages": PAGES_PER_CHUNK})
        cursor.execute(COUNT_ROWS.format(table=table))
        rows: int = cursor.fetchone()[0]
        return rows


def load_chunk(run: Run) -> int:
    """Compute, append and publish the next chunk. Return 1, or 0 where no chunk is due.

    Raises ConflictError, after marking the run as failed, where a version went live that the events were not aggregated
    for.
    """
    if run.as_of is None:
        register_marked_customers()
        aggregate_for_run(run)
    read: Activity | None = None

    def claim() -> Claim | None:
        nonlocal read
        chunk = runs.claim_chunk(run)
        if chunk is None:
            finish_recompute(run)
            return None
        activity = read_chunk(run, number=chunk.number)
        # A customer that was erased meanwhile has no row to lock.
        read = activity.of(lock_customers(activity.customer_ids))
        settle = partial(runs.settle_chunk, chunk, done=len(activity.customer_ids))
        return Claim(customer_ids=read.customer_ids, settle=settle)

    def compute(customer_ids: Sequence[str]) -> RowContents:
        assert run.as_of is not None
        assert read is not None
        # PostgreSQL may leave pages without a row at the table's end; an empty activity has no windowed columns.
        return record_activity(read, as_of=run.as_of) if customer_ids else NO_CONTENTS

    try:
        claimed = process(claim, compute=compute)
    except ConflictError as error:
        give_up(run, because=str(error))
        raise
    return 0 if claimed is None else 1


def read_chunk(run: Run, *, number: int) -> Activity:
    """Return the activity of the customers on the chunk's pages of the table."""
    statement = READ_CHUNK.format(table=connection.ops.quote_name(table_of(run)), columns=", ".join(ACTIVITY_COLUMNS))
    pages = {"first": f"({number * PAGES_PER_CHUNK},0)", "last": f"({(number + 1) * PAGES_PER_CHUNK},0)"}
    with connection.cursor() as cursor:
        cursor.execute(statement, pages)
        return postgres.columns(cursor.fetchall())


def finish_recompute(run: Run) -> None:
    """End the run and drop its activity, where no worker still has a chunk.

    A version that the run has taken up is not put aside any more, unless it failed meanwhile.
    """
    if runs.finish_chunks(run):
        drop_table(run)
        taken_up = FeatureVersion.objects.filter(runs=run, is_taken_up=True)
        taken_up.update(put_aside_at=None, put_aside_because="", is_taken_up=False)
        if run.version is not None:
            note_first_values(run)


def give_up(run: Run, *, because: str) -> None:
    """Mark the run as failed, and delete what is left of it.

    In the order in which others lock: whoever settles a chunk counts it afterwards.
    """
    with transaction.atomic():
        run.chunks.all().delete()
        drop_table(run)
        runs.fail(run, because=because)


def drop_table(run: Run) -> None:
    """Drop the run's table of activity, where it exists."""
    with connection.cursor() as cursor:
        cursor.execute(f"drop table if exists {connection.ops.quote_name(table_of(run))}")


def recompute_customers(
    *, customer_ids: Sequence[str], as_of: datetime | None = None, progress: Progress = lambda done: None
) -> int:
    """Recompute these customers from their events, now or as of an earlier moment. Return their number.

    Calls `progress` with the number of customers of each chunk.
    """
    wanted = sorted(set(customer_ids) - erased_among(customer_ids))
    register_customers(wanted)
    moment = as_of or database_now()
    for chunk in batched(wanted, CUSTOMERS_PER_CHUNK):
        attempt = partial(aggregate_chunk, chunk, as_of=moment)
        activity = isolating(attempt, customer_ids=partial(list, chunk))
        process(partial(claim_customers, chunk), compute=partial(record_of_chunk, activity, as_of=moment))
        progress(len(chunk))
    return len(wanted)


def aggregate_chunk(customer_ids: Sequence[str], *, as_of: datetime) -> Activity:
    """Return the activity of these customers, with the windowed features of all versions."""
    features = registry_snapshot.get().windowed
    return postgres.aggregate(customer_ids, as_of=as_of, window_days=settings.WINDOW_DAYS, features=features)


def record_of_chunk(activity: Activity, customer_ids: Sequence[str], *, as_of: datetime) -> RowContents:
    """Record the activity that was aggregated before the customers were locked."""
    return record_activity(activity, as_of=as_of)
