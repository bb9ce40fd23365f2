"""Lines of the log as JSON: what they have, and what they do not."""

import json
import logging
import os
from datetime import datetime, timedelta
from typing import Any

import pytest

from featurehub.observability.ids import begin_request, begin_task_ids, end_task_ids
from featurehub.observability.json_lines import JsonLines
from tests.at_once import in_a_process


def line_of(message: str, *arguments: object, extra: dict[str, Any] | None = None, error: Any = None) -> dict[str, Any]:
    """Return what a record is as a line, which is one."""
    logger = logging.getLogger("features.some")
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 1, message, arguments, error, extra=extra)
    text = JsonLines().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


@pytest.fixture(autouse=True)
def no_ids() -> None:
    end_task_ids()


def test_a_line_has_time_level_logger_message_and_process() -> None:
    line = line_of("%s of %d", "one", 2)
    moment = datetime.fromisoformat(line.pop("time"))
    assert moment.utcoffset() == timedelta(0)
    assert line == {"level": "ERROR", "logger": "features.some", "message": "one of 2", "pid": os.getpid()}


def test_a_line_has_the_ids_of_the_request_or_of_the_task_and_the_request_behind_it() -> None:
    begin_request({"HTTP_X_REQUEST_ID": "r1"})
    assert line_of("a")["request_id"] == "r1"
    begin_task_ids("t1", "features.refresh_dirty", caused_by="r2")
    line = line_of("a")
    assert (line["task_id"], line["task"], line["request_id"]) == ("t1", "features.refresh_dirty", "r2")
    end_task_ids()
    assert not {"request_id", "task_id", "task"} & line_of("a").keys()


def test_a_line_has_no_customer_whatever_is_quoted() -> None:
    try:
        raise ValueError('failed at "/api/v1/customers/secret"\nand \\ at customer_features:secret')
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
        line = line_of("GET /api/v1/customers/secret/features/", error=caught, extra={"customer": "secret"})
    assert line["message"] == "GET /api/v1/customers/…/features/"
    assert 'ValueError: failed at "/api/v1/customers/…"\nand \\ at customer_features:…' in line["exception"]
    assert "secret" not in json.dumps(line)


def test_programs_write_json_unless_text_is_asked_for() -> None:
    code = "import logging; logging.getLogger('a').warning('b')"
    as_json, as_text = (in_a_process(code, FEATUREHUB_LOG_FORMAT=form) for form in ("", "text"))
    assert json.loads(as_json.stderr)["message"] == "b"
    assert as_text.stderr.endswith(" WARNING a b\n")
    refused = in_a_process(code, FEATUREHUB_LOG_FORMAT="xml")
    assert "FEATUREHUB_LOG_FORMAT must be json or text, not 'xml'." in refused.stderr
