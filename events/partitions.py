"""Monthly partitions of the events table: create them in advance, drop expired ones.

See docs/decisions/0006-partitioned-events.md.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection

from events.validation import EARLIEST

MAKE_MONTHS = """
select events_make_partition(month at time zone 'UTC')
from generate_series(date_trunc('month', %(since)s at time zone 'UTC'), %(until)s at time zone 'UTC', '1 month') month
where to_regclass(events_partition_name(month at time zone 'UTC')) is null
"""
# `inhdetachpending` is true if a detachment was interrupted, and null if only the drop is left to do.
PARTITIONS = r"""
select relname, inhdetachpending
from pg_class left join pg_inherits on inhrelid = oid
where relkind = 'r' and relname ~ '^events_event_\d+_\d\d$' and pg_table_is_visible(oid)
order by relname
"""
AHEAD = timedelta(days=35)
# The longest time between the check of an event and the commit that stores it.
IN_FLIGHT = timedelta(days=1)


def make_partitions(since: datetime, *, until: datetime) -> None:
    """Create the missing partitions of the months from `since` to `until`, without blocking readers or writers."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE_MONTHS, {"since": since, "until": until})


def make_ahead(now: datetime) -> None:
    """Create the partitions of this month and the next, so that no ingestion has to."""
    make_partitions(now, until=now + AHEAD)


def oldest_kept(now: datetime) -> datetime:
    """Return the oldest timestamp that is accepted, by the retention of events.

    The partition of its month is not dropped before IN_FLIGHT has passed.
    """
    kept_days = settings.EVENT_RETENTION_DAYS
    return now - timedelta(days=kept_days) if kept_days else EARLIEST


def expired_partitions(now: datetime) -> list[str]:
    """Return the names of the partitions to drop, oldest first.

    Every timestamp in them is older than accepted, by a margin for events that were accepted but not yet stored.
    """
    return [name for name, _ in partitions() if end_of(name) <= oldest_kept(now) - IN_FLIGHT]


def drop_partition(name: str) -> None:
    """Detach a partition and drop it, while others read and write the rest of the table.

    Must be called outside of transactions. If it is interrupted, the next call finishes it. One that another process
    has dropped is gone.
    """
    there = dict(partitions())
    if name not in there:
        return
    is_pending = there[name]
    table = connection.ops.quote_name(name)
    with connection.cursor() as cursor:
        if is_pending is not None:
            how = "finalize" if is_pending else "concurrently"
            cursor.execute(f"alter table events_event detach partition {table} {how}")
        cursor.execute(f"drop table {table}")


def partitions() -> list[tuple[str, bool | None]]:
    """Return (name, is_pending) of each partition, oldest first.

    `is_pending` tells whether a detachment was begun and not finished. It is None if the partition is detached.
    """
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS)
        return list(cursor.fetchall())


def end_of(name: str) -> datetime:
    """Return the first moment after the month of a partition, from its name."""
    year, month = map(int, name.removeprefix("events_event_").split("_"))
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
