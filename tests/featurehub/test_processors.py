"""Web workers and the processors that they run on."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from featurehub.processors import stay_on_one

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Only Linux binds processes.")


def processors() -> set[int]:
    stay_on_one()
    return os.sched_getaffinity(0)


def test_each_worker_has_one_of_the_allowed_processors() -> None:
    allowed = os.sched_getaffinity(0)
    context = multiprocessing.get_context("spawn")
    found = []
    for _ in range(len(allowed)):
        with ProcessPoolExecutor(1, mp_context=context) as worker:
            found.append(worker.submit(processors).result(timeout=60))
    assert [len(mine) for mine in found] == [1] * len(allowed)
    assert set().union(*found) == allowed


def test_a_process_that_is_no_worker_is_left_alone() -> None:
    allowed = os.sched_getaffinity(0)
    stay_on_one()
    assert os.sched_getaffinity(0) == allowed
