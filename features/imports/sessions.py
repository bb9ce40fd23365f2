"""Several sessions of PostgreSQL for one piece of work, each with temporary tables of its own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper


@contextmanager
def some_sessions(number: int) -> Iterator[list[BaseDatabaseWrapper]]:
    """Yield this thread's session and further ones, `number` together; the further ones are closed at the end."""
    further = [connections.create_connection(DEFAULT_DB_ALIAS) for _ in range(number - 1)]
    try:
        yield [connections[DEFAULT_DB_ALIAS], *further]
    finally:
        for session in further:
            session.close()


def in_each(sessions: Sequence[BaseDatabaseWrapper], work: Callable[[], object]) -> None:
    """Call `work` once a session at the same time: in this thread with its own, and in a thread for each other one.

    Raise the first of their errors when all of them have ended.
    """
    _, *further = sessions
    with ThreadPoolExecutor(max(len(further), 1)) as threads:
        others = [threads.submit(in_session, session, work) for session in further]
        work()
        for other in others:
            other.result()


def in_session(session: BaseDatabaseWrapper, work: Callable[[], object]) -> None:
    """Call `work` with this session as the thread's."""
    session.inc_thread_sharing()
    connections[DEFAULT_DB_ALIAS] = session
    work()
