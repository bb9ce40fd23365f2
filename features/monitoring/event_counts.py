"""Count the events by type, minute and hour of their own time, each once, without reading the table of events again.

1. A look notes the last id that was given out, and the first transaction that had not begun then.
2. When all earlier transactions have ended, no event up to that id can appear any more: these events are counted, in
   parts, found by the index of the ids.
3. Whoever reads the counts adds the few events that are not counted yet.

So ingestion does nothing for it. Events that are deleted later (erasures, retention) stay counted.

This says what happened, whenever it arrived (an import of old events adds to its own days); `event_volume` says what
arrived in time, complete for its days from the first count on, as alerts about senders need it.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from featurehub.lib.traffic import Counts
from features.models import CountedEvents
from features.monitoring.series import KEPT_FOR, Points, Resolution, beginning, points_of

EVENTS = "events"
EVENTS_PER_COUNT = 100_000
# Of a table that was there before the counting, the newest events are counted; and as many are read by a page at most.
MOST_NOT_COUNTED = 1_000_000
MOST_READ = 200_000
LARGEST_ID = 2**63 - 1
LAST_ID = "select coalesce(pg_sequence_last_value(pg_get_serial_sequence('events_event', 'id')), 0)"
# Two statements: a transaction that has got an id by the first has begun when the second is run.
NOT_BEGUN = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
OLDEST_RUNNING = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
COUNT_BY_TYPE = """
select event_type, date_trunc(case when "timestamp" > %(recent)s then 'minute' else 'hour' end, "timestamp", 'UTC'),
    count(*)
from (
    select event_type, "timestamp" from events_event where id > %(after)s and id <= %(until)s order by id limit %(most)s
) event
group by 1, 2
"""


def count_next_events(*, now: datetime) -> int:
    """Count the next events of which it is certain that no others come between. Return how many ids were passed.

    One process counts at a time; another one returns 0.
    """
    with transaction.atomic():
        row = claim_counted(now=now)
        if row is None:
            return 0
        until = min(row.seen_to, row.counted_to + EVENTS_PER_COUNT)
        passed = until - row.counted_to if number_from(OLDEST_RUNNING) >= row.seen_before else 0
        if passed > 0:
            points = Points(now=now)
            for (event_type, start), number in read_counts(after=row.counted_to, until=until, now=now).items():
                points.add((EVENTS, (event_type,)), Counts(number), at=start)
            points.write()
            row.counted_to = until
        if row.counted_to >= row.seen_to:
            row.seen_to = number_from(LAST_ID)
            row.seen_before = number_from(NOT_BEGUN)
        row.save()
    return max(passed, 0)


def claim_counted(*, now: datetime) -> CountedEvents | None:
    """Return the one row, locked; None where another process has it. The first call makes it."""
    begin = first_to_count()
    CountedEvents.objects.bulk_create(
        [CountedEvents(pk=1, counted_to=begin, seen_to=begin, seen_before=0)], ignore_conflicts=True
    )
    return CountedEvents.objects.select_for_update(skip_locked=True).first()


def first_to_count() -> int:
    """Return the id after which the events are counted, where none was counted yet."""
    return max(number_from(LAST_ID) - MOST_NOT_COUNTED, 0)


def number_from(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        number: int = cursor.fetchone()[0]
    return number


def read_counts(*, after: int, until: int, now: datetime) -> dict[tuple[str, datetime], int]:
    """Return (event type, minute or hour) → number of the events with these ids, found by the index of the ids."""
    parameters: dict[str, Any] = {
        "after": after, "until": until, "recent": now - KEPT_FOR[Resolution.MINUTE], "most": MOST_READ,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(COUNT_BY_TYPE, parameters)
        return {(event_type, start): number for event_type, start, number in cursor.fetchall()}


def events_by_type(*, resolution: Resolution, since: datetime, now: datetime) -> Mapping[str, Mapping[datetime, int]]:
    """Return event type → beginning → number of events that happened from `since` on and until now.

    With the events that are not counted yet, at most MOST_READ of them.
    """
    found: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    since = max(since, now - KEPT_FOR[resolution])
    counted = CountedEvents.objects.first()
    after = first_to_count() if counted is None else counted.counted_to
    for (event_type, moment), number in read_counts(after=after, until=LARGEST_ID, now=now).items():
        if since <= moment <= now:
            found[event_type][beginning(moment, resolution)] += number
    for (event_type,), over_time in points_of(EVENTS, resolution=resolution, since=since, until=now).items():
        for start, point in over_time.items():
            found[event_type][start] += point.count
    return found
