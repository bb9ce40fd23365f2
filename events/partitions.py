"""The months that events are kept in: made ahead, dropped whole. See docs/decisions/0006-partitioned-events.md."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection

from events.validation import EARLIEST

MAKE_MONTHS = """
select events_make_partition(month at time zone 'UTC')
from generate_series(date_trunc('month', %(since)s at time zone 'UTC'), %(until)s at time zone 'UTC', '1 month') month
where to_regclass(events_partition_name(month at time zone 'UTC')) is null
"""
# `inhdetachpending` is true where a session did not live to finish a detachment, null where only the drop is left.
PARTITIONS = r"""
select relname, inhdetachpending
from pg_class left join pg_inherits on inhrelid = oid
where relkind = 'r' and relname ~ '^events_event_\d+_\d\d$' and pg_table_is_visible(oid)
order by relname
"""
AHEAD = timedelta(days=35)
# How long an event that was taken in may be on its way into the table.
IN_FLIGHT = timedelta(days=1)


def make_partitions(since: datetime, *, until: datetime) -> None:
    """Makes the months from `since` to `until` that are not there yet. Blocks neither readers nor writers."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE_MONTHS, {"since": since, "until": until})


def make_ahead(now: datetime) -> None:
    """Makes this month and the next, so that no ingestion has to."""
    make_partitions(now, until=now + AHEAD)


def oldest_kept(now: datetime) -> datetime:
    """The oldest timestamp that is taken in: its month is still some way from being dropped."""
    kept_days = settings.EVENT_RETENTION_DAYS
    return now - timedelta(days=kept_days) if kept_days else EARLIEST


def expired_partitions(now: datetime) -> list[str]:
    """The months that nothing may be written to any more, and nothing in flight still is; oldest first."""
    return [name for name, _ in partitions() if end_of(name) <= oldest_kept(now) - IN_FLIGHT]


def drop_partition(name: str) -> None:
    """Takes a month out of the table and deletes it, while others go on reading and writing the rest.

    Outside of transactions only. Where it is interrupted, the next call finishes it.
    """
    is_pending = dict(partitions())[name]
    table = connection.ops.quote_name(name)
    with connection.cursor() as cursor:
        if is_pending is not None:
            how = "finalize" if is_pending else "concurrently"
            cursor.execute(f"alter table events_event detach partition {table} {how}")
        cursor.execute(f"drop table {table}")


def partitions() -> list[tuple[str, bool | None]]:
    """Each month, oldest first, and whether its detachment is pending; None where it is detached."""
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS)
        return list(cursor.fetchall())


def end_of(name: str) -> datetime:
    """The first moment after the month of a partition, which `events_partition_name` named."""
    year, month = map(int, name.removeprefix("events_event_").split("_"))
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
