"""Lines of the log as JSON, one object a line, without the ids of customers."""

from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

from featurehub.lib.private_lines import without_customers
from featurehub.observability.ids import thread_ids
from featurehub.observability.tracing import tracing

TAKEN_OVER = {
    "levelname": "level",
    "name": "logger",
    "message": "message",
    "process": "pid",
    "exc_info": "exception",
    "stack_info": "stack",
}


class JsonLines(OrjsonFormatter):
    """A formatter of records as objects: time, level, logger, message, pid, and the ids of the request and task.

    What else a record carries is left out: Django's have the request with its address in them, Celery's the arguments.
    """

    def __init__(self) -> None:
        super().__init__(list(TAKEN_OVER)[:4], timestamp="time")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the object of a line."""
        line = {"time": log_data["time"].isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        for name, key in TAKEN_OVER.items():
            if (value := log_data.get(name)) is not None:
                line[key] = as_utf8(without_customers(value)) if isinstance(value, str) else value
        ids = {name: getattr(thread_ids, name) for name in ("request_id", "task_id", "task")}
        ids["trace_id"] = tracing.trace_id()
        return line | {name: value for name, value in ids.items() if value}


def as_utf8(text: str) -> str:
    """Return the text with escapes in place of halves of characters, which no JSON in UTF-8 can have."""
    return text.encode(errors="backslashreplace").decode()
