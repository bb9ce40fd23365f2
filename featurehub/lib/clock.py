"""Moments: parsed with an offset, kept in UTC, counted in microseconds since 1970."""

from datetime import UTC, datetime, timedelta

from featurehub.lib.errors import InvalidError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MOMENT, LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
MOMENT_EXAMPLE = "2026-01-31T12:00:00Z"


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970 UTC, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def in_utc(moment: datetime, *, attr: str) -> datetime:
    """Return the same moment in UTC. Raise InvalidError with `attr` for one before 1970 or after the year 9999."""
    try:
        if moment >= EPOCH:
            return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise InvalidError("A moment is one from 1970 to 9999 in UTC.", attr=attr)


def nearest_in_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC, or the first or last one of Python's calendar for one that is beyond it.

    PostgreSQL refuses offsets of 16:00 and more, which ISO 8601 allows.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return FIRST_MOMENT if moment.year == FIRST_MOMENT.year else LAST_MOMENT


def parse_moment(text: str, *, attr: str) -> datetime:
    """Return an ISO 8601 moment with its offset. Raise InvalidError with `attr` for any other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidError(f"{text!r} is not an ISO 8601 moment with an offset, such as {MOMENT_EXAMPLE}.", attr=attr)
    return moment
