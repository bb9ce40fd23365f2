"""Pin web workers to processors."""

import multiprocessing
import os


def stay_on_one() -> None:
    """Pin this granian worker to one processor, another one for each worker while there are enough. Linux only.

    Python runs one thread of a process at a time. If two threads run on two processors, each request wakes the other
    processor several times, which is a third of its cost (decision 5). Threads inherit the setting, so that it must be
    made before they start.
    """
    if multiprocessing.parent_process() is None or not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    # The worker's number among its parent's children, from 1 on. multiprocessing has no public name for it.
    number: int = multiprocessing.current_process()._identity[-1]
    os.sched_setaffinity(0, {allowed[-number % len(allowed)]})
