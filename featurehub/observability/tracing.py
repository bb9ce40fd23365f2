"""Traces: of a request, of the task that computes what it has stored, and of the publication to Redis.

    POST events/                        a request that is sampled; its marks carry its traceparent
      ├─ features.refresh_dirty         the task that the request's nudge has woken
      │    ├─ compute
      │    └─ publish
      └─ published                      from the moment of its marks until they are published; links to the task

A task computes the marks of many requests, and beat's sweep may find them before the nudge's task does. So the task's
span links to every request whose marks it has claimed, and where no request woke it, it is a trace of its own. The span
"published" shows the end in the request's own trace.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set. `otlp` has what needs OpenTelemetry's packages. Spans name endpoints,
tasks and numbers, never a customer.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from random import random
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from featurehub.observability.otlp import OtlpTracer

OTLP_TRACER = "featurehub.observability.otlp.OtlpTracer"
# The last digits of a W3C traceparent whose trace is sampled: the lowest bit of its flags is set.
SAMPLED_FLAGS = frozenset("13579bdf")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMarks:
    """The marks of one request that were published: how many customers, and the moment from which they were due."""

    traceparent: str
    customers: int
    since: datetime


@dataclass(slots=True)
class RequestSpan:
    """The status of a traced request, which is known at its end."""

    status_code: int = 0


class Tracing:
    """The traces of this process; off until it is started."""

    def __init__(self) -> None:
        self._tracer: OtlpTracer | None = None
        self.is_on = False  # an attribute, since every read looks at it

    def load(self) -> None:
        """Import OpenTelemetry where traces are on: in a parent, so that its children need not."""
        if settings.OTLP_ENDPOINT:
            import_string(OTLP_TRACER)

    def start(self, process: str) -> None:
        """Trace what this process does from now on, if an endpoint is set: in the process itself, not in its parent."""
        if settings.OTLP_ENDPOINT:
            self._tracer = import_string(OTLP_TRACER)(process=process)
            self.is_on = True

    def stop(self) -> None:
        """Send what is left, and trace nothing any more."""
        self.is_on = False
        if self._tracer is not None:
            self._tracer.shut_down()
            self._tracer = None

    def wants(self, environ: Mapping[str, Any]) -> bool:
        """Return whether to trace a request where traces are on: as its traceparent says, else a share of them."""
        parent: str | None = environ.get("HTTP_TRACEPARENT")
        return random() < settings.TRACE_SHARE if parent is None else parent[-1:] in SAMPLED_FLAGS  # noqa: S311

    def is_under_way(self) -> bool:
        """Return whether this thread is in a request or task that is traced."""
        return self._tracer is not None and self._tracer.is_under_way()

    def traceparent(self) -> str:
        """Return the current span as a W3C traceparent; empty where nothing is traced."""
        return self._tracer.traceparent() if self._tracer is not None else ""

    def trace_id(self) -> str:
        """Return the id of the current trace in hexadecimal digits; empty where nothing is traced."""
        return self.traceparent()[3:35]

    @contextmanager
    def request(self, environ: Mapping[str, Any], *, method: str, endpoint: str) -> Iterator[RequestSpan]:
        """Trace a request that `wants` has chosen; the block sets its status."""
        answered = RequestSpan()
        if self._tracer is None:
            yield answered
            return
        with self._tracer.request(environ.get("HTTP_TRACEPARENT", ""), method=method, endpoint=endpoint) as span:
            yield answered
            self._tracer.set_status(span, answered.status_code)

    @contextmanager
    def span(self, name: str, *, customers: int) -> Iterator[None]:
        """Trace the block, work on so many customers, as a part of what is under way.

        Nothing where that is not traced, or there are no customers.
        """
        if self._tracer is None or not customers or not self._tracer.is_under_way():
            yield
            return
        with self._tracer.span(name, customers=customers):
            yield

    def begin_task(self, name: str, task_id: str, *, parent: str) -> None:
        """Note that a task begins, and trace it if the request that sent it is traced."""
        if self._tracer is not None:
            self._tracer.begin_task(name, task_id, parent=parent if parent[-1:] in SAMPLED_FLAGS else "")

    def end_task(self, outcome: str) -> None:
        """Note that the task of this thread has ended."""
        if self._tracer is not None:
            self._tracer.end_task(outcome)

    def link(self, traceparents: Sequence[str]) -> None:
        """Link the task of this thread to the requests whose work it does; it is traced from its beginning on then."""
        if self._tracer is not None and traceparents:
            self._tracer.link(traceparents)

    def note_published(self, marks: Sequence[PublishedMarks]) -> None:
        """Show in the traces of requests that what they stored is published by now."""
        if self._tracer is not None and marks:
            self._tracer.note_published(marks)


tracing = Tracing()
