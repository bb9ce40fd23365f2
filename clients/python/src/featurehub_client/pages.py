"""Rows of all pages, read one page after the other."""

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    """A page of an answer."""

    @property
    def results(self) -> Sequence[T_co]:
        """The rows of the page."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page; None on the last one."""


class ReadPage(Protocol[T_co]):
    """A function that reads the page at a cursor, the first one at None."""

    def __call__(self, *, cursor: str | None) -> Page[T_co]:
        """Return the page."""


class ReadPageLater(Protocol[T_co]):
    """A function that reads the page at a cursor from an event loop."""

    def __call__(self, *, cursor: str | None) -> Awaitable[Page[T_co]]:
        """Return the page when it is awaited."""


def rows_of_pages(read: ReadPage[T]) -> Iterator[T]:
    """Yield the rows of all pages."""
    cursor = None
    while True:
        page = read(cursor=cursor)
        yield from page.results
        cursor = page.next_cursor
        if cursor is None:
            return


async def rows_of_pages_later(read: ReadPageLater[T]) -> AsyncIterator[T]:
    """Yield the rows of all pages."""
    cursor = None
    while True:
        page = await read(cursor=cursor)
        for row in page.results:
            yield row
        cursor = page.next_cursor
        if cursor is None:
            return
