"""Pages of a history, newest first.

A cursor names the row next to a page, so that pages stay the same while rows are appended.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from django.db.models import QuerySet

from featurehub.lib.clock import EPOCH, microseconds
from featurehub.lib.errors import InvalidError
from features.models import CustomerFeature

ROWS_PER_PAGE = 100
MOST_ROWS_PER_PAGE = 1_000


CURSOR_PATTERN = "(newer|older)-([0-9]{1,16})-([0-9]{1,18})"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row, and the side of it on which the page lies: the next newer rows, or the next older ones."""

    timestamp: datetime
    row_id: int
    is_newer: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that `__str__` wrote.

        Raises InvalidError for any other text.
        """
        match = re.fullmatch(CURSOR_PATTERN, text)
        if match is None:
            raise InvalidError("The cursor is not valid: use those in `next` and `previous` unchanged.", attr="cursor")
        moment = EPOCH + timedelta(microseconds=int(match[2]))
        return cls(timestamp=moment, row_id=int(match[3]), is_newer=match[1] == "newer")

    def __str__(self) -> str:
        return f"{'newer' if self.is_newer else 'older'}-{microseconds(self.timestamp)}-{self.row_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows, newest first, and the cursors of the pages beside them.

    A cursor is None where there is nothing older, or newer.
    """

    rows: list[CustomerFeature]
    older: Cursor | None
    newer: Cursor | None


def parse_limit(text: str | None) -> int:
    """Return the number of rows of a page, ROWS_PER_PAGE by default.

    Raises InvalidError for anything but a whole number from 1 to 1,000.
    """
    if text is None:
        return ROWS_PER_PAGE
    if not (re.fullmatch("[0-9]{1,4}", text) and 1 <= int(text) <= MOST_ROWS_PER_PAGE):
        raise InvalidError("The limit is a whole number from 1 to 1000.", attr="limit")
    return int(text)


def read_page(history: QuerySet[CustomerFeature], *, limit: int, cursor: Cursor | None) -> Page:
    """Return the page at the cursor, or the first one.

    One query, which reads one row more to see whether a further page follows.
    """
    if cursor is None:
        rows = list(history.order_by("-timestamp", "-id")[: limit + 1])
        return make_page(rows[:limit], has_older=len(rows) > limit, has_newer=False)
    same_moment = {"timestamp": cursor.timestamp}
    if cursor.is_newer:
        beside = history.filter(timestamp__gte=cursor.timestamp).exclude(**same_moment, id__lte=cursor.row_id)
        rows = list(beside.order_by("timestamp", "id")[: limit + 1])
        return make_page(reversed(rows[:limit]), has_older=True, has_newer=len(rows) > limit)
    beside = history.filter(timestamp__lte=cursor.timestamp).exclude(**same_moment, id__gte=cursor.row_id)
    rows = list(beside.order_by("-timestamp", "-id")[: limit + 1])
    return make_page(rows[:limit], has_older=len(rows) > limit, has_newer=True)


def make_page(rows: Iterable[CustomerFeature], *, has_older: bool, has_newer: bool) -> Page:
    """Return the page with its cursors; a page without rows has none."""
    rows = list(rows)
    return Page(
        rows=rows,
        older=Cursor(rows[-1].timestamp, rows[-1].pk, is_newer=False) if rows and has_older else None,
        newer=Cursor(rows[0].timestamp, rows[0].pk, is_newer=True) if rows and has_newer else None,
    )
