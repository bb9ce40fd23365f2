"""Traces by OpenTelemetry's SDK, sent by OTLP over HTTP (protobuf) from a thread beside the work.

Imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set, since requirements-tracing.txt is optional. The exporter reads
OpenTelemetry's other variables itself: OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, …
What a receiver does not take in time is dropped; no request and no task waits for it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from featurehub.observability.tracing import PublishedMarks

# More requests than that are not linked to one task, nor told of their publication.
MOST_LINKS = 64
FAILED_TASK = "failure"
# An attribute: how many customers a span is about.
ABOUT = "featurehub.customers"
propagator = TraceContextTextMapPropagator()


@dataclass(slots=True)
class TaskUnderWay:
    """A task of this thread; without a span it is not traced, at least not yet."""

    name: str
    task_id: str
    began_ns: int
    span: Span | None = None
    token: Token[Context] | None = None
    linked: set[str] = field(default_factory=set)


class OtlpTracer:
    """The tracer of a process. What is sampled was decided before: here every span is recorded."""

    def __init__(self, *, process: str) -> None:
        own = Resource.create({"service.name": "featurehub", "featurehub.process": process})
        resource = own.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("featurehub")
        self._task: ContextVar[TaskUnderWay | None] = ContextVar("task_under_way", default=None)

    def shut_down(self) -> None:
        """Send what is left and stop the thread that sends."""
        self._provider.shutdown()

    def is_under_way(self) -> bool:
        """Return whether this thread is in a span."""
        return trace.get_current_span().is_recording()

    def traceparent(self) -> str:
        """Return the current span as a W3C traceparent; empty where there is none."""
        current = trace.get_current_span()
        if not current.is_recording():
            return ""
        known = current.get_span_context()
        return f"00-{known.trace_id:032x}-{known.span_id:016x}-01"

    @contextmanager
    def request(self, parent: str, *, method: str, endpoint: str) -> Iterator[Span]:
        """Record a request as a span, below that of its client where it has sent one."""
        attributes = {"http.request.method": method, "http.route": endpoint}
        with self._recorded(
            f"{method} {endpoint}", attributes, kind=SpanKind.SERVER, parent=context_of(parent)
        ) as span:
            yield span

    def set_status(self, span: Span, status_code: int) -> None:
        """Note the status of the answer; one of 500 and more is an error."""
        span.set_attribute("http.response.status_code", status_code)
        if status_code >= 500:
            span.set_status(Status(StatusCode.ERROR))

    @contextmanager
    def span(self, name: str, *, customers: int) -> Iterator[Span]:
        """Record the block as a span below the current one."""
        with self._recorded(name, {ABOUT: customers}) as span:
            yield span

    @contextmanager
    def _recorded(
        self,
        name: str,
        attributes: Mapping[str, int | str],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: Context | None = None,
    ) -> Iterator[Span]:
        """Record a span. Of an error only the class is noted: its message may name a customer."""
        with self._tracer.start_as_current_span(
            name, context=parent, kind=kind, attributes=dict(attributes),
            record_exception=False, set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def begin_task(self, name: str, task_id: str, *, parent: str) -> None:
        """Note the task of this thread; record it as a span below `parent` if that is not empty."""
        task = TaskUnderWay(name, task_id, began_ns=time.time_ns())
        self._task.set(task)
        if parent:
            self._record_task(task, parent=context_of(parent))

    def _record_task(self, task: TaskUnderWay, *, parent: Context, links: Sequence[Link] = ()) -> None:
        """Record the task as a span from its beginning on, and make it the current one."""
        attributes = {"celery.task.name": task.name, "celery.task.id": task.task_id}
        task.span = self._tracer.start_span(
            task.name, context=parent, kind=SpanKind.CONSUMER, attributes=attributes, links=links,
            start_time=task.began_ns,
        )  # fmt: skip
        task.token = context.attach(trace.set_span_in_context(task.span))

    def link(self, traceparents: Sequence[str]) -> None:
        """Link the task's span to these spans; a task that is not recorded yet becomes a trace of its own."""
        task = self._task.get()
        if task is None:
            return
        new = [text for text in traceparents if text not in task.linked][: MOST_LINKS - len(task.linked)]
        task.linked.update(new)
        links = [Link(trace.get_current_span(context_of(text)).get_span_context()) for text in new]
        if task.span is None:
            self._record_task(task, parent=Context(), links=links)
            return
        for each in links:
            task.span.add_link(each.context)

    def end_task(self, outcome: str) -> None:
        """End the span of this thread's task, if it has one."""
        task = self._task.get()
        self._task.set(None)
        if task is None or task.span is None or task.token is None:
            return
        task.span.set_attribute("featurehub.outcome", outcome)
        if outcome == FAILED_TASK:
            task.span.set_status(Status(StatusCode.ERROR))
        task.span.end()
        context.detach(task.token)

    def note_published(self, marks: Sequence[PublishedMarks]) -> None:
        """Record in the trace of each request a span from its marks' moment until now, with a link to the task."""
        current = trace.get_current_span()
        links = [Link(current.get_span_context())] if current.is_recording() else []
        now_ns = time.time_ns()
        for each in marks[:MOST_LINKS]:
            began_ns = min(int(each.since.timestamp() * 1e9), now_ns)
            span = self._tracer.start_span(
                "published", context=context_of(each.traceparent), links=links, start_time=began_ns,
                attributes={ABOUT: each.customers},
            )  # fmt: skip
            span.end(now_ns)


def context_of(traceparent: str) -> Context:
    """Return the context of a W3C traceparent; one without a span where the text is none."""
    return propagator.extract({"traceparent": traceparent}, context=Context())
