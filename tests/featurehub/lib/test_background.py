"""Work beside the requests: at its moment, in one thread, whatever fails."""

import logging
import threading
import time
from queue import Queue

import pytest

from featurehub.lib.background import BackgroundJobs, is_in_background


@pytest.fixture
def done() -> "Queue[object]":
    return Queue()


def test_a_job_runs_in_a_thread_that_answers_no_request(done: "Queue[object]") -> None:
    assert not is_in_background()
    BackgroundJobs().run(lambda: done.put((is_in_background(), threading.current_thread().daemon)))
    assert done.get(timeout=10) == (True, True)


def test_jobs_run_at_their_moments_in_one_thread(done: "Queue[object]") -> None:
    jobs, begun = BackgroundJobs(), time.monotonic()
    for name, in_seconds in (("last", 2.0), ("first", 0.1), ("second", 0.2)):
        jobs.run(lambda name=name: done.put((name, threading.get_ident())), in_seconds=in_seconds)  # type: ignore[misc]
    names, threads = zip(*[done.get(timeout=10) for _ in range(3)], strict=True)  # type: ignore[misc]
    assert names == ("first", "second", "last")
    assert len(set(threads)) == 1
    assert time.monotonic() - begun > 2.0


def test_a_job_does_not_wait_for_one_that_is_due_later(done: "Queue[object]") -> None:
    jobs = BackgroundJobs()
    jobs.run(lambda: done.put("later"), in_seconds=60)
    time.sleep(0.1)
    jobs.run(lambda: done.put("now"))
    assert done.get(timeout=10) == "now"


def test_a_job_that_fails_is_logged_and_the_next_one_runs(
    done: "Queue[object]", caplog: pytest.LogCaptureFixture
) -> None:
    jobs = BackgroundJobs()
    with caplog.at_level(logging.ERROR, logger="featurehub.lib.background"):
        jobs.run(lambda: 1 / 0)
        jobs.run(lambda: done.put("next"))
        assert done.get(timeout=10) == "next"
    assert "ZeroDivisionError" in caplog.text
