"""Rows of a training set without a file: customers × moments, and labels from what the customers did afterwards.

Moments lie on a grid: since, since + every, …, up to `until`. Each event covers some of them:

    active    an event at e is in the window of the moments in [e, e + window]
    label     an event at e is in (moment, moment + within] of the moments in [e - within, e)

Both are the same question with other ends, and one pass over the events answers it: of the events of a customer whose
first covered moment is the same, the latest one covers the most.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from psycopg import sql

from events.partitions import oldest_kept
from events.registered_types import check_event_types
from featurehub.lib.clock import EPOCH, in_utc
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from features.registry.window_text import hours_of, window_text

ACTIVE, ALL = "active", "all"
LABEL_TEXT = re.compile(r"(\S+)\s+within\s+(\S+)")
LABEL_EXAMPLE = "'purchase within 14d'"
LONGEST_SPAN_HOURS = 365 * 24
MOST_ROWS = 50_000_000
ONE_MICROSECOND = timedelta(microseconds=1)
# Of each customer the ranges of moments, from `begins` to `ends`, that its events cover; no moment is in two of them.
# An event at e covers [e + {nearest}, e + {farthest}]. A range that ends before it begins is empty.
COVERED = sql.SQL(
    """
select customer_id, begins, least(
    date_bin({every}, latest + {farthest}, {first}), {last},
    lead(begins) over (partition by customer_id order by begins) - {every}
) as ends
from (
    select customer_id, max("timestamp") as latest, greatest(
        {first}, date_bin({every}, "timestamp" + {nearest} - {one_microsecond}, {first}) + {every}
    ) as begins
    from events_event
    where "timestamp" >= {first} - {farthest} and "timestamp" <= {last} - {nearest} and {condition}
    group by customer_id, begins
) latest_of_moment
"""
)
COUNT_COVERED = sql.SQL(
    """
select coalesce(sum(extract(epoch from ends - begins) / extract(epoch from {every}) + 1), 0)::bigint
from ({covered}) covered where ends >= begins
"""
)
MOMENTS_OF = sql.SQL(
    "select customer_id, moment from ({covered}) covered, lateral generate_series(begins, ends, {every}) moment"
)
STAGE_ROWS = sql.SQL("create temporary table staged_label as {rows}")
STAGE_LABELLED_ROWS = sql.SQL(
    """
create temporary table staged_label as
with entity as ({rows}), positive as ({positive})
select customer_id, moment, (positive.customer_id is not null)::int as label
from entity left join positive using (customer_id, moment)
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLabel:
    """The label of a row: 1 if the customer has an event of the type in (moment, moment + within], else 0."""

    event_type: str
    within: timedelta

    def __str__(self) -> str:
        return f"{self.event_type} within {window_text(self.within // timedelta(hours=1))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRows:
    """Customers at the moments since, since + every, … up to `until`.

    `customers` are ACTIVE, those with an event in the WINDOW_DAYS before the moment, or ALL with an event at or before
    it. At `now` the horizon of some labels is not over: their rows are left out.
    """

    since: datetime
    until: datetime
    every: timedelta
    customers: str
    label: EventLabel | None
    now: datetime

    @property
    def last(self) -> datetime:
        """The last moment."""
        return self._at_or_before(self.until)

    @property
    def last_kept(self) -> datetime:
        """The last moment whose label is known; it is before `since` where none is."""
        return self.last if self.label is None else self._at_or_before(min(self.until, self.now - self.label.within))

    def _at_or_before(self, limit: datetime) -> datetime:
        return self.since + (limit - self.since) // self.every * self.every


def parse_entity_rows(
    *, since: datetime, until: datetime, every: str, customers: str, label: str | None, now: datetime
) -> EntityRows:
    """Return the rows that are described so: every="7d", label="purchase within 14d".

    Raises InvalidError, with `attr`, for what can't be, and for moments whose events are dropped by the retention.
    """
    rows = EntityRows(
        since=moment_in_utc(since, attr="since"),
        until=moment_in_utc(until, attr="until"),
        every=parse_span(every, attr="every"),
        customers=customers,
        label=None if label is None else parse_event_label(label),
        now=now,
    )
    if customers not in (ACTIVE, ALL):
        raise InvalidError(f"Customers are {listed([ACTIVE, ALL], last='or')}, not {customers!r}.", attr="customers")
    if rows.until < rows.since:
        raise InvalidError("The last moment, until, is before the first, since.", attr="until")
    if rows.until > now:
        raise InvalidError("The last moment, until, is in the future: nobody's values are known then.", attr="until")
    earliest = oldest_kept(now) + (window_before_moments() if customers == ACTIVE else timedelta())
    if settings.EVENT_RETENTION_DAYS and rows.since < earliest:
        raise InvalidError(
            f"Events are kept for {settings.EVENT_RETENTION_DAYS:,} days, so that it is not known who was active, or "
            f"what followed: since is {earliest:%Y-%m-%dT%H:%M:%SZ} or later.",
            attr="since",
        )
    return rows


def moment_in_utc(moment: datetime, *, attr: str) -> datetime:
    """Return the same moment in UTC. Raises InvalidError for one without an offset, or before 1970."""
    if moment.tzinfo is None:
        raise InvalidError(f"{moment.isoformat()} has no offset: give it one, as in tzinfo=UTC.", attr=attr)
    return in_utc(moment, attr=attr)


def window_before_moments() -> timedelta:
    """Return how long before a moment an event makes a customer active then."""
    return timedelta(days=settings.WINDOW_DAYS)


def parse_event_label(text: str) -> EventLabel:
    """Return the label that is written so: an event type and a horizon.

    Raises InvalidError for another form, a type that takes no events, and a horizon that is none.
    """
    found = LABEL_TEXT.fullmatch(text.strip())
    if found is None:
        raise InvalidError(f"A label is an event type and a horizon, such as {LABEL_EXAMPLE}.", attr="label")
    within = parse_span(found[2], attr="label")
    try:
        check_event_types([found[1]])
    except InvalidError as error:
        error.attr = "label"
        raise
    return EventLabel(event_type=found[1], within=within)


def parse_span(text: str, *, attr: str) -> timedelta:
    """Return the length of a text such as "6h" or "14d". Raises InvalidError for less than 1h or more than 365d."""
    hours = hours_of(text)
    if not 1 <= hours <= LONGEST_SPAN_HOURS:
        raise InvalidError(f"{text!r} is no length of time from 1h to 365d, such as 6h or 14d.", attr=attr)
    return timedelta(hours=hours)


def count_entity_rows(rows: EntityRows) -> tuple[int, int]:
    """Return the number of rows that are kept, and of those left out, as the horizon of their label is not over.

    Raises InvalidError where more than MOST_ROWS are kept.
    """
    kept = count_covered(rows, first=rows.since, last=rows.last_kept)
    if kept > MOST_ROWS:
        raise InvalidError(
            f"These are {kept:,} rows, and a training set has at most {MOST_ROWS:,}: take fewer moments, or active "
            "customers only.",
            attr="every",
        )
    return kept, count_covered(rows, first=max(rows.since, rows.last_kept + rows.every), last=rows.last)


def count_covered(rows: EntityRows, *, first: datetime, last: datetime) -> int:
    """Return the number of rows from one moment to another."""
    if last < first:
        return 0
    with connection.cursor() as cursor:
        covered = rows_covered(rows, first=first, last=last)
        cursor.execute(COUNT_COVERED.format(every=sql.Literal(rows.every), covered=covered))
        number: int = cursor.fetchone()[0]
    return number


def stage_entity_rows(rows: EntityRows) -> int:
    """Stage the rows that are kept, with their labels, in the temporary table staged_label; return their number.

    One statement: two passes over the events, and one join of the two where there is a label.
    """
    first, last, every = rows.since, rows.last_kept, sql.Literal(rows.every)
    staged = MOMENTS_OF.format(covered=rows_covered(rows, first=first, last=last), every=every)
    if rows.label is None:
        statement = STAGE_ROWS.format(rows=staged)
    else:
        positive = covered_sql(
            every=rows.every,
            first=first,
            last=last,
            nearest=-rows.label.within,
            farthest=-ONE_MICROSECOND,
            condition=sql.SQL("event_type = {}").format(sql.Literal(rows.label.event_type)),
        )
        statement = STAGE_LABELLED_ROWS.format(rows=staged, positive=MOMENTS_OF.format(covered=positive, every=every))
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.rowcount)


def rows_covered(rows: EntityRows, *, first: datetime, last: datetime) -> sql.Composed:
    """Return the query for the ranges of moments, of `first` to `last`, in which each customer is a row."""
    # Of all customers: whoever had an event is one from then on.
    window = window_before_moments() if rows.customers == ACTIVE else last - EPOCH
    return covered_sql(
        every=rows.every, first=first, last=last, nearest=timedelta(), farthest=window, condition=sql.SQL("true")
    )


def covered_sql(
    *,
    every: timedelta,
    first: datetime,
    last: datetime,
    nearest: timedelta,
    farthest: timedelta,
    condition: sql.Composable,
) -> sql.Composed:
    """Return the query for the ranges of moments that the events that meet the condition cover."""
    return COVERED.format(
        every=sql.Literal(every),
        first=sql.Literal(first),
        last=sql.Literal(last),
        nearest=sql.Literal(nearest),
        farthest=sql.Literal(farthest),
        one_microsecond=sql.Literal(ONE_MICROSECOND),
        condition=condition,
    )
