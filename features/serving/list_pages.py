"""Answers to a list of customers: a page, the number with totals and means, and all rows for a file.

None of them may hold up the server: after SECONDS_PER_ANSWER a statement is given up, and the answer says why.
"""

import base64
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from django.conf import settings
from django.db import DataError, OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from featurehub.lib.errors import InvalidError
from features.models import BUCKETS, Run
from features.serving.customer_lists import BY_CUSTOMER_ID, After, CustomerList, customer_list

SECONDS_PER_ANSWER = 3.0
# A file is read in parts; the first one waits until all rows are sorted.
SECONDS_PER_PART = 15.0
# A process that waits for PostgreSQL no longer than this much more is to get PostgreSQL's own answer.
MARGIN_SECONDS = 0.3
ROWS_PER_FETCH = 2_000
TOO_SLOW_UNLISTED = (
    "This list was given up after {seconds:g} seconds. {names} not listed, so that values were read from the history "
    "of one customer after the other: filter by a listed feature, too, or give it a place in the lists."
)
TOO_MANY = "This list was given up after {seconds:g} seconds: filter it by a narrower range."
OUT_OF_RANGE = "A value that the list computes is too large, or too close to zero, for a double."


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCustomer:
    """A row of a list; `values` are in the order of the list's names, None where the customer has no value."""

    customer_id: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """Rows of a list, and the cursor of the next page; None where there is none."""

    rows: Sequence[ListedCustomer]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The number of customers, and for each name of the list the number of those with a value, and the total."""

    customers: int
    with_value: Sequence[int]
    totals: Sequence[float | None]

    @property
    def means(self) -> list[float | None]:
        """Return the mean over the customers who have a value."""
        pairs = zip(self.totals, self.with_value, strict=True)
        return [total / number if number and total is not None else None for total, number in pairs]


@contextmanager
def bounded_cursor(asked: CustomerList, *, most_seconds: float | None = None) -> Iterator[Any]:
    """Give the block a cursor whose statements are given up after some seconds; raise InvalidError where one is."""
    waits = math.inf if settings.DATABASE_SECONDS is None else settings.DATABASE_SECONDS - MARGIN_SECONDS
    seconds = min(SECONDS_PER_ANSWER if most_seconds is None else most_seconds, waits)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"set local statement_timeout = {1000 * seconds:.0f}")
            yield cursor
    except DataError as error:
        raise InvalidError(OUT_OF_RANGE, attr="where") from error
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        raise InvalidError(too_slow(asked, seconds=seconds), code="too_slow", attr="where") from error


def too_slow(asked: CustomerList, *, seconds: float) -> str:
    if not asked.unlisted:
        return TOO_MANY.format(seconds=seconds)
    names = f"{' and '.join(asked.unlisted)} {'is' if len(asked.unlisted) == 1 else 'are'}"
    return TOO_SLOW_UNLISTED.format(seconds=seconds, names=names)


def list_columns(asked: CustomerList) -> str:
    return ", ".join(["customer_id", *(asked.layout.sql_of(name) for name in asked.names)])


# --- Pages ------------------------------------------------------------------------------------------------------------


def read_list(asked: CustomerList, *, limit: int, after: After | None = None) -> ListPage:
    """Return the page after a customer, or the first one. Raises InvalidError where it takes too long.

    It reads one row more to see whether a further page follows.
    """
    with bounded_cursor(asked) as cursor:
        statement = asked.select(list_columns(asked), after=after, is_limited=True)
        cursor.execute(statement, asked.parameters(after, limit=limit + 1))
        found = [ListedCustomer(customer_id=row[0], values=row[1:]) for row in cursor.fetchall()]
    rows = found[:limit]
    return ListPage(rows=rows, next=cursor_text(asked, rows[-1]) if len(found) > limit else None)


def cursor_text(asked: CustomerList, last: ListedCustomer) -> str:
    """Return the cursor of the page that follows a customer: the list's moment and order, the value, and the id."""
    value = None if asked.order == BY_CUSTOMER_ID else last.values[asked.names.index(asked.order)]
    parts = orjson.dumps([asked.now_s, asked.order_as_text, value, last.customer_id])
    return base64.urlsafe_b64encode(parts).decode().rstrip("=")


def list_at(text: str | None, *, order: str, conditions: Sequence[Any]) -> tuple[CustomerList, After | None]:
    """Return the list at the moment of a cursor, and after whom its page begins; for None, now and the first page.

    Raises InvalidError for a cursor of another order, and for a text that is none.
    """
    if text is None:
        return customer_list(order=order, conditions=conditions), None
    try:
        padded = text + "=" * (-len(text) % 4)
        now_s, cursor_order, value, customer_id = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        is_ours = isinstance(now_s, float) and isinstance(value, float | None) and isinstance(customer_id, str)
    except (ValueError, TypeError):
        is_ours = False
    if not is_ours or "\0" in customer_id or cursor_order != order:
        detail = "The cursor is not valid: use the one in `next` unchanged, with the same `order` and `where`."
        raise InvalidError(detail, attr="cursor")
    return customer_list(order=order, conditions=conditions, now_s=now_s), After(value, customer_id)


# --- All customers of a list ------------------------------------------------------------------------------------------

SUMMARY = "select count(*){parts} from ({rows}) listed"
FIGURE = ", count({name}), sum({name})"


def read_figures(asked: CustomerList) -> Figures:
    """Return the number of the list's customers, with totals and means. Raises InvalidError where it takes too long."""
    values = [f"v{number}" for number in range(len(asked.names))]
    selected = ", ".join(
        f"{asked.layout.sql_of(name)} as {value}" for name, value in zip(asked.names, values, strict=True)
    )
    statement = SUMMARY.format(
        parts="".join(FIGURE.format(name=value) for value in values),
        rows=asked.select(selected, is_sorted=False),
    )
    with bounded_cursor(asked) as cursor:
        cursor.execute(statement, asked.parameters())
        customers, *parts = cursor.fetchone()
    return Figures(customers=customers, with_value=parts[::2], totals=parts[1::2])


def stream_list(asked: CustomerList) -> Generator[ListedCustomer]:
    """Yield every row of the list, in its order, from one statement at one moment.

    Raises InvalidError where the first rows, or some later ones, take longer than SECONDS_PER_PART.
    """
    with bounded_cursor(asked, most_seconds=SECONDS_PER_PART), connection.chunked_cursor() as cursor:
        cursor.execute(asked.select(list_columns(asked)), asked.parameters())
        while rows := cursor.fetchmany(ROWS_PER_FETCH):
            for row in rows:
                yield ListedCustomer(customer_id=row[0], values=row[1:])


def share_filled() -> float:
    """Return the share of the lists that is filled in: less than 1 after other features were listed, or put live."""
    run = Run.objects.filter(kind=Run.Kind.LISTS).order_by("-id").first()
    if run is None:
        return 0.0
    return 1.0 if run.state == Run.State.DONE else min(run.done / BUCKETS, 1.0)


def moment_of_list(asked: CustomerList) -> datetime:
    return datetime.fromtimestamp(asked.now_s, tz=UTC)
