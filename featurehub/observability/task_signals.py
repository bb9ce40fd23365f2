"""Follow Celery's tasks: count each with its outcome and time, and let it carry the ids of what has caused it."""

from contextvars import ContextVar
from time import perf_counter
from typing import Any

from celery import Task
from celery.signals import after_task_publish, before_task_publish, task_postrun, task_prerun

from featurehub.lib.traffic import SENT_BY_BEAT, TASK_BOUNDS, TASK_TIMES, traffic
from featurehub.observability.ids import begin_task_ids, end_task_ids, thread_ids
from featurehub.observability.tracing import tracing

# Headers of a message, and attributes of the request of its task.
REQUEST_ID, TRACEPARENT = "featurehub_request_id", "featurehub_traceparent"
_began: ContextVar[float] = ContextVar("task_began", default=0.0)


@before_task_publish.connect
def send_ids(*, headers: dict[str, Any], **_: object) -> None:
    """Let the message carry the id of the request, and its trace.

    A task's own trace is not carried on: a run sends its task again for each of its turns, maybe thousands of times.
    """
    if cause := thread_ids.request_id:
        headers[REQUEST_ID] = cause
    if not thread_ids.task_id and tracing.is_under_way():
        headers[TRACEPARENT] = tracing.traceparent()


@task_prerun.connect
def begin_task(*, task_id: str, task: "Task[Any, Any]", **_: object) -> None:
    """Let the log carry the task, and begin its time and its trace."""
    _began.set(perf_counter())
    begin_task_ids(task_id, task.name, caused_by=task.request.get(REQUEST_ID) or "")
    tracing.begin_task(task.name, task_id, parent=task.request.get(TRACEPARENT) or "")


@task_postrun.connect
def end_task(*, task: "Task[Any, Any]", state: str | None, **_: object) -> None:
    """Count the task under its outcome, such as success, failure or retry."""
    outcome = (state or "unknown").lower()
    traffic.observe((TASK_TIMES, (task.name, outcome)), perf_counter() - _began.get(), bounds=TASK_BOUNDS)
    tracing.end_task(outcome)
    end_task_ids()


def count_sent_tasks() -> None:
    """Count the tasks that this process sends from now on: for beat."""
    after_task_publish.connect(count_sent_task)


def count_sent_task(*, sender: str, **_: object) -> None:
    traffic.count((SENT_BY_BEAT, (sender,)), number=1)
