"""Ids that the log and the answers carry: of the request, and of the task that it has caused.

They belong to the thread: a request or a task replaces those of the one before, so that nothing is restored at its end.
"""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from itertools import count
from secrets import token_hex
from typing import Any

REQUEST_ID_HEADER = "X-Request-ID"
# What a client may give; anything else, such as a line break, is replaced by an id of our own.
GIVEN_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
# Its id and name.
task_ids: ContextVar[tuple[str, str]] = ContextVar("task_ids", default=("", ""))


class MadeIds:
    """The ids that this process makes: a random beginning and a number, which is quicker than a random one each."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew with another beginning: a forked process has that of its parent."""
        self.ids = map(f"{token_hex(6)}-{{:x}}".format, count(1))


_made = MadeIds()
os.register_at_fork(after_in_child=_made.renew)


def begin_request(environ: Mapping[str, Any]) -> str:
    """Return the id of a request, the client's own where it gives one, and let this thread's lines carry it."""
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is None or not GIVEN_REQUEST_ID.fullmatch(given):
        given = next(_made.ids)
    request_id.set(given)
    return given


def begin_task_ids(task_id: str, name: str, *, caused_by: str) -> None:
    """Let this thread's lines carry the id and name of a task, and the id of the request that has caused it."""
    task_ids.set((task_id, name))
    request_id.set(caused_by)


def end_task_ids() -> None:
    """Forget the task: what the process logs between two of them belongs to none."""
    task_ids.set(("", ""))
    request_id.set("")
