"""Retention: months of events are dropped whole, and old history keeps the last row of each day."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from events import partitions
from features.materialization import runs
from features.models import BUCKETS, Run

# A statement thins one bucket, so that its work is bounded. Of rows with one timestamp, the last recorded one holds.
THIN_OUT = """
delete from features_customerfeature where id in (
    select id from (
        select id, row_number() over (
            partition by customer_id, feature_type, version, date_trunc('day', "timestamp", 'UTC')
            order by "timestamp" desc, id desc
        ) as place
        from features_customerfeature join features_customer using (customer_id)
        where features_bucket(customer_id) = %(bucket)s and "timestamp" < %(until)s
    ) row
    where place > 1
)
"""


def maintain_events(*, now: datetime) -> None:
    """Create the partitions of the months ahead, drop the expired ones, and analyze the partitioned table."""
    partitions.make_ahead(now)
    drop_expired_events(now=now)
    # Autovacuum analyzes partitions only, and plans need statistics of the whole table.
    with connection.cursor() as cursor:
        cursor.execute("analyze events_event")


def drop_expired_events(*, now: datetime) -> None:
    """Drop the months whose events are all past their retention, as a run. Without such months there is no run.

    The run of a process that died in it is gone on with, or ended.
    """
    expired = partitions.expired_partitions(now)
    kind = Run.Kind.RETENTION
    run = runs.begin_run(kind, total=len(expired)) if expired else runs.under_way(kind)
    if run is None:
        return
    with runs.failing(run):
        for name in expired:
            partitions.drop_partition(name)
            runs.advance_run(run, by=1)
    runs.finish_run(run)


def begin_thinning(*, now: datetime) -> Run | None:
    """Return a run that thins out the history past its retention: the running one, or a new one.

    Returns None where all history is kept.
    """
    if not settings.HISTORY_RETENTION_DAYS:
        return None
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic():
        until = today - timedelta(days=settings.HISTORY_RETENTION_DAYS)
        run = runs.begin_run(Run.Kind.THINNING, total=BUCKETS, as_of=until)
        runs.add_chunks(run, numbers=range(BUCKETS))
    return run


def thin_out(run: Run) -> int:
    """Thin out the history of the next bucket of customers. Return 1, or 0 where no bucket is due."""
    with transaction.atomic():
        chunk = runs.claim_chunk(run)
        if chunk is None:
            runs.finish_chunks(run)
            return 0
        with connection.cursor() as cursor:
            cursor.execute(THIN_OUT, {"bucket": chunk.number, "until": run.as_of})
        runs.settle_chunk(chunk, done=1)
    return 1
