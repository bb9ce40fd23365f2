"""Recomputing everybody: an engine aggregates the events once, any number of workers load the result in chunks.

The activity stands in a table of its own until the last chunk is computed, appended and published. A worker that dies
leaves its chunk; whoever claims it next does it again, to the same result. Memory is bounded by the chunk.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from events.tombstones import erased_among
from featurehub.lib.batched import batched
from featurehub.lib.enqueue import enqueue
from featurehub.lib.errors import ConflictError
from featurehub.lib.progress import Progress
from features.engines import postgres
from features.engines.activity_sql import ACTIVITY_COLUMNS
from features.formulas.activity import Activity
from features.materialization import runs
from features.materialization.compute import database_now, lock_customers, record_activity, register_customers
from features.models import Customer, Run
from features.online.outbox import announce, settle
from features.online.publish import publish
from features.registry.snapshot import registry_snapshot

RECOMPUTE_TASK = "features.recompute"
CUSTOMERS_PER_CHUNK = 1_000
# Of the table of activity: about 5,000 customers.
PAGES_PER_CHUNK = 100

COUNT_ROWS = "select count(*) from {table}"
MAKE_CHUNKS = """
insert into features_runchunk (run_id, number)
select %(run_id)s, number
from generate_series(0, (pg_relation_size(%(table)s) / current_setting('block_size')::int - 1) / %(pages)s) number
where pg_relation_size(%(table)s) > 0
"""
READ_CHUNK = (
    "select customer_id, {columns}, windowed from {table} where ctid >= %(first)s::tid and ctid < %(last)s::tid"
)

# Fills the table, as `postgres.aggregate_into` does: (table, as_of=…, window_days=…, features=…).
Engine = Callable[..., None]


def begin_recompute(*, engine: Engine = postgres.aggregate_into, as_of: datetime | None = None) -> Run:
    """Aggregates the events of everybody, at `as_of` or now, and leaves the rest to `load_chunk`.

    The run is locked meanwhile: as long as somebody aggregates, nobody takes it for dead.
    """
    register_customers(None)
    moment = as_of or database_now()
    run = Run.objects.create(kind=Run.Kind.RECOMPUTE, as_of=moment, total=Customer.objects.count())
    with runs.failing(run), transaction.atomic():
        Run.objects.select_for_update().get(pk=run.pk)
        features = registry_snapshot.get(younger_than=0).windowed
        engine(table_of(run), as_of=moment, window_days=settings.WINDOW_DAYS, features=features)
        make_chunks(run)
        transaction.on_commit(partial(start_loading, run.pk))
    run.refresh_from_db()
    return run


def aggregate_for_run(run: Run) -> None:
    """Aggregates the events of everybody for a run that was left to workers; nothing where somebody has done it.

    All of it or nothing: a worker that dies leaves it to the next one.
    """
    register_customers(None)
    with runs.failing(run), transaction.atomic():
        held = Run.objects.select_for_update().get(pk=run.pk)
        if held.as_of is None:
            held.as_of = database_now()
            features = registry_snapshot.get(younger_than=0).windowed
            window_days = settings.WINDOW_DAYS
            postgres.aggregate_into(table_of(run), as_of=held.as_of, window_days=window_days, features=features)
            make_chunks(run)
            Run.objects.filter(pk=run.pk).update(as_of=held.as_of, updated_at=Now())
    run.as_of = held.as_of


def table_of(run: Run) -> str:
    return f"features_activity_of_run_{run.pk}"


def make_chunks(run: Run) -> None:
    """Divides the table of activity among the workers."""
    table = connection.ops.quote_name(table_of(run))
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ROWS.format(table=table))
        runs.set_total(run, total=cursor.fetchone()[0])
        cursor.execute(MAKE_CHUNKS, {"run_id": run.pk, "table": table, "pages": PAGES_PER_CHUNK})


def start_loading(run_id: int) -> None:
    """Wakes a worker. Where the message is lost, the sweep of runs sends it again."""
    enqueue(RECOMPUTE_TASK, run_id)


def load_chunk(run: Run) -> int:
    """Computes, appends and publishes the next chunk. Returns how many chunks that were: 0 where none is due.

    Raises ConflictError, and the run has failed, where another version is live than the events were aggregated for.
    """
    if run.as_of is None:
        aggregate_for_run(run)
    try:
        with runs.failing(run, on=ConflictError), transaction.atomic():
            chunk = runs.claim_chunk(run)
            if chunk is None:
                finish_recompute(run)
                return 0
            read = read_chunk(run, number=chunk.number)
            # Whoever was erased meanwhile is not there to be locked.
            activity = read.of(lock_customers(read.customer_ids))
            assert run.as_of is not None
            # PostgreSQL may leave pages at the table's end without a row. Of nobody, no activity says what it holds.
            if activity.customer_ids:
                record_activity(activity, as_of=run.as_of)
    except ConflictError:
        run.chunks.all().delete()
        drop_table(run)
        raise
    publish(activity.customer_ids)
    runs.settle_chunk(chunk, done=len(read.customer_ids))
    return 1


def read_chunk(run: Run, *, number: int) -> Activity:
    """The customers on the chunk's pages of the table of activity."""
    statement = READ_CHUNK.format(table=connection.ops.quote_name(table_of(run)), columns=", ".join(ACTIVITY_COLUMNS))
    pages = {"first": f"({number * PAGES_PER_CHUNK},0)", "last": f"({(number + 1) * PAGES_PER_CHUNK},0)"}
    with connection.cursor() as cursor:
        cursor.execute(statement, pages)
        return postgres.columns(cursor.fetchall())


def finish_recompute(run: Run) -> None:
    """Ends the run and drops its activity, where no worker still has a chunk."""
    if runs.finish_chunks(run):
        drop_table(run)


def drop_table(run: Run) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"drop table if exists {connection.ops.quote_name(table_of(run))}")


def recompute_customers(
    *, customer_ids: Sequence[str], as_of: datetime | None = None, progress: Progress = lambda done: None
) -> int:
    """Recomputes these customers from their events, now or as of an earlier moment. Returns how many.

    For everybody, see `recomputation`. `progress` is told how many customers each chunk had.
    """
    wanted = sorted(set(customer_ids) - erased_among(customer_ids))
    register_customers(wanted)
    moment = as_of or database_now()
    for chunk in batched(wanted, CUSTOMERS_PER_CHUNK):
        activity = postgres.aggregate(
            chunk, as_of=moment, window_days=settings.WINDOW_DAYS, features=registry_snapshot.get().windowed
        )
        with transaction.atomic():
            lock_customers(chunk)
            publication = announce(chunk)
            record_activity(activity, as_of=moment)
        publish(chunk)
        settle(publication)
        progress(len(chunk))
    return len(wanted)
