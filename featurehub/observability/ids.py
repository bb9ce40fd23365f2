"""Ids that the log and the answers carry: of the request, and of the task that it has caused.

They belong to the thread: a request or a task replaces those of the one before, so that nothing is restored at its end.
"""

import os
import re
import threading
from collections.abc import Mapping
from itertools import count
from secrets import token_hex
from typing import Any

REQUEST_ID_HEADER = "X-Request-ID"
# What a client may give; anything else, such as a line break, is replaced by an id of our own.
GIVEN_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ThreadIds(threading.local):
    """The ids of a thread; empty where there is no request, or no task. A context variable would be slower to set."""

    request_id = ""
    task_id = ""
    task = ""  # its name


thread_ids = ThreadIds()


class MadeIds:
    """The ids that this process makes: a random beginning and a number, which is quicker than a random one each."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew with another beginning: a forked process has that of its parent."""
        self.beginning, self.numbers = f"{token_hex(6)}-", count(1)


_made = MadeIds()
os.register_at_fork(after_in_child=_made.renew)


def begin_request(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return the header that names a request in its answer, and let this thread's lines carry its id.

    The id is the client's own, or the front's, where the request has one.
    """
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is None or not GIVEN_REQUEST_ID.fullmatch(given):
        given = f"{_made.beginning}{next(_made.numbers)}"
    thread_ids.request_id = given
    return REQUEST_ID_HEADER, given


def begin_task_ids(task_id: str, name: str, *, caused_by: str) -> None:
    """Let this thread's lines carry the id and name of a task, and the id of the request that has caused it."""
    thread_ids.task_id, thread_ids.task, thread_ids.request_id = task_id, name, caused_by


def end_task_ids() -> None:
    """Forget the task: what the process logs between two of them belongs to none."""
    begin_task_ids("", "", caused_by="")
