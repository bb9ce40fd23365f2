"""Which processor a web worker runs on."""

import multiprocessing
import os


def stay_on_one() -> None:
    """Keeps a worker of granian on one processor, each on another one, as far as there are. Linux only.

    Python lets one of its threads run at a time. Where they are on two processors, each request wakes the other one
    several times: a third of what it costs (decision 5). Threads inherit it, so it comes before they are started.
    """
    if multiprocessing.parent_process() is None or not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    # Which of its parent's children it is, from 1 on. Only multiprocessing itself knows that.
    number: int = multiprocessing.current_process()._identity[-1]
    os.sched_setaffinity(0, {allowed[-number % len(allowed)]})
