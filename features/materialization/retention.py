"""What is kept, and for how long: months of events are dropped whole, old history keeps the last row of each day."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from events import partitions
from features.materialization import runs
from features.models import BUCKETS, Run

# By bucket: a statement has bounded work. Of one moment's rows the one that was recorded last is the one that holds.
THIN_OUT = """
delete from features_customerfeature where id in (
    select id from (
        select id, row_number() over (
            partition by customer_id, feature_type, version, date_trunc('day', "timestamp", 'UTC')
            order by "timestamp" desc, id desc
        ) as place
        from features_customerfeature join features_customer using (customer_id)
        where bucket = %(bucket)s and "timestamp" < %(until)s
    ) row
    where place > 1
)
"""


def maintain_events(*, now: datetime) -> None:
    """Makes months ahead, drops expired ones, and has PostgreSQL look at the whole table for its plans."""
    partitions.make_ahead(now)
    drop_expired_events(now=now)
    with connection.cursor() as cursor:
        cursor.execute("analyze events_event")


def drop_expired_events(*, now: datetime) -> None:
    """Drops the months whose events are all past their retention. A run, where there are any."""
    expired = partitions.expired_partitions(now)
    if not expired:
        return
    run = runs.begin_run(Run.Kind.RETENTION, total=len(expired))
    with runs.failing(run):
        for name in expired:
            partitions.drop_partition(name)
            runs.advance_run(run, by=1)
    runs.finish_run(run)


def begin_thinning(*, now: datetime) -> Run | None:
    """A run that thins out the history past its retention, or the one that is under way; None: all is kept."""
    if not settings.HISTORY_RETENTION_DAYS:
        return None
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic():
        until = today - timedelta(days=settings.HISTORY_RETENTION_DAYS)
        run = runs.begin_run(Run.Kind.THINNING, total=BUCKETS, as_of=until)
        runs.add_chunks(run, numbers=range(BUCKETS))
    return run


def thin_out(run: Run) -> int:
    """Thins out the history of the next bucket of customers. Returns 0 where nobody waits for one."""
    with transaction.atomic():
        chunk = runs.claim_chunk(run)
        if chunk is None:
            runs.finish_chunks(run)
            return 0
        with connection.cursor() as cursor:
            cursor.execute(THIN_OUT, {"bucket": chunk.number, "until": run.as_of})
        runs.settle_chunk(chunk, done=1)
    return 1
