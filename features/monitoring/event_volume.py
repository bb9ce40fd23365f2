"""Events by type and hour, and which types have fallen silent or have jumped in volume.

An event counts in the hour in which it happened, if it arrives before HOURS_COUNTED_AGAIN more have passed. What comes
later, such as the import of old events, is usual neither here nor there. The charts of what happened, whenever it
arrived, have `event_counts`, which may begin with the newest events and does not tell an hour without events from one
that it did not count.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.conf import settings
from django.db import connection, transaction

from events.registered_types import event_types
from features.formulas.activity import Ints
from features.models import EventHour

HOUR = timedelta(hours=1)
HOURS_OF_A_DAY = 24
HOURS_COUNTED_AGAIN = 2
# What is usual is taken from so many days, of which there have to be a few.
USUAL_DAYS, LEAST_USUAL_DAYS = 28, 3
# Fewer events are no volume to be watched.
LEAST_EVENTS = 10
# A type that is silent in the same hours of more than one in so many days is silent as usual.
SILENT_DAYS = 14
# A jump is to so many times the median day, or to that part of it.
JUMP = 3.0
COUNT_HOURS = """
select date_trunc('hour', "timestamp", 'UTC'), event_type, count(*) from events_event
where "timestamp" >= %(since)s and "timestamp" < %(until)s
group by 1, 2
"""
LOCK_COUNTING = "select pg_try_advisory_xact_lock(hashtextextended('features.count_events', 0))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """An event type without an event for `hours`, where `expected` came in the same hours of a usual day."""

    event_type: str
    hours: int
    expected: float
    a_day: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeJump:
    """The events of the last 24 hours, and of the median day before."""

    event_type: str
    events: int
    usual: float


# --- Counting ---------------------------------------------------------------------------------------------------------


def count_next(*, now: datetime) -> int:
    """Count the events of up to a day of hours that are not counted for good. Return 1 where more hours are left.

    The hour that is under way is counted, too, and again at the next call. One caller counts at a time.
    """
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_COUNTING)
        if not cursor.fetchone()[0]:
            return 0
        newest = EventHour.objects.order_by("-hour").values_list("hour", flat=True).first()
        first = this_hour - (USUAL_DAYS + 1) * timedelta(days=1)
        since = first if newest is None else max(first, newest - HOURS_COUNTED_AGAIN * HOUR)
        until = min(since + HOURS_OF_A_DAY * HOUR, this_hour + HOUR)
        cursor.execute(COUNT_HOURS, {"since": since, "until": until})
        counted = {(hour, event_type): events for hour, event_type, events in cursor.fetchall()}
        hours = [since + number * HOUR for number in range((until - since) // HOUR)]
        names = dict.fromkeys([*event_types.get().names, *(name for _, name in counted)])
        EventHour.objects.bulk_create(
            [
                EventHour(hour=hour, event_type=event_type, events=counted.get((hour, event_type), 0))
                for hour in hours
                for event_type in names
            ],
            update_conflicts=True,
            unique_fields=["hour", "event_type"],
            update_fields=["events"],
        )
    return int(until <= this_hour)


def counts_by_type(*, since: datetime, until: datetime) -> dict[str, dict[datetime, int]]:
    """Return event type → hour → number of events, of the counted hours with since ≤ hour < until."""
    found: defaultdict[str, dict[datetime, int]] = defaultdict(dict)
    rows = EventHour.objects.filter(hour__gte=since, hour__lt=until)
    for event_type, hour, events in rows.values_list("event_type", "hour", "events"):
        found[event_type][hour] = events
    return dict(found)


# --- What is unusual --------------------------------------------------------------------------------------------------


def unusual_volumes(*, now: datetime) -> list[Silence | VolumeJump]:
    """Return the event types that are silent, and those whose volume has jumped; none while nobody counts."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    by_type = counts_by_type(since=this_hour - (USUAL_DAYS + 1) * timedelta(days=1), until=this_hour + HOUR)
    found: list[Silence | VolumeJump | None] = []
    for event_type, counts in by_type.items():
        silent = silence(event_type, counts=counts, this_hour=this_hour)
        found.append(silent or volume_jump(event_type, counts=counts, this_hour=this_hour))
    return [each for each in found if each is not None]


def silence(event_type: str, *, counts: Mapping[datetime, int], this_hour: datetime) -> Silence | None:
    """Return the silence of a type: no event in the last hours, where these hours of other days have some.

    The hours are SILENCE_HOURS full ones, and the one that is under way. None where one of them was not counted.
    """
    hours = [this_hour - number * HOUR for number in range(settings.SILENCE_HOURS + 1)]
    if any(counts.get(hour, 1) for hour in hours):
        return None
    usual = usual_sums(counts, hours=hours[1:])
    if len(usual) < LEAST_USUAL_DAYS or np.mean(usual) < LEAST_EVENTS:
        return None
    if np.count_nonzero(usual == 0) * SILENT_DAYS > len(usual):
        return None
    whole_days = usual_sums(counts, hours=last_day(this_hour))
    return Silence(
        event_type=event_type,
        hours=settings.SILENCE_HOURS,
        expected=float(np.mean(usual)),
        a_day=float(np.mean(whole_days)) if len(whole_days) else float(np.mean(usual)),
    )


def volume_jump(event_type: str, *, counts: Mapping[datetime, int], this_hour: datetime) -> VolumeJump | None:
    """Return the jump of a type: the last 24 full hours have JUMP times the events of the median day, or a part.

    They also have to be beyond nineteen of twenty days, so that a weekly mailing is no jump.
    """
    hours = last_day(this_hour)
    if any(hour not in counts for hour in hours):
        return None
    events, usual = sum(counts[hour] for hour in hours), usual_sums(counts, hours=hours)
    if len(usual) < LEAST_USUAL_DAYS:
        return None
    median, low, high = np.quantile(usual, [0.5, 0.05, 0.95]).tolist()
    if max(events, median) < JUMP * LEAST_EVENTS or low <= events <= high:
        return None
    if median / JUMP < events < median * JUMP:
        return None
    return VolumeJump(event_type=event_type, events=events, usual=median)


def last_day(this_hour: datetime) -> list[datetime]:
    return [this_hour - number * HOUR for number in range(1, HOURS_OF_A_DAY + 1)]


def usual_sums(counts: Mapping[datetime, int], *, hours: Sequence[datetime]) -> Ints:
    """Return how many events these hours had on each of the days before, of those of which every hour is counted."""
    days = [[hour - back * timedelta(days=1) for hour in hours] for back in range(1, USUAL_DAYS + 1)]
    return np.array([sum(counts[hour] for hour in day) for day in days if all(hour in counts for hour in day)])
