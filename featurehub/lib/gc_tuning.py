"""Settings of the Python interpreter that hold for a whole process: only commands and entry points change them."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# New objects after which Python looks for cycles in batch work; its own limit is 700.
COLLECTED_AFTER = 100_000


def freeze_loaded_objects() -> None:
    """Exclude all objects that exist now from garbage collection.

    A full collection that includes them delays requests by 100 ms, and takes a seventh of the time of a chunk of
    customers.
    """
    gc.collect()
    gc.freeze()


def tune_for_batch_work() -> None:
    """Freeze the loaded objects, and begin a garbage collection after COLLECTED_AFTER new ones only.

    A chunk of customers is made of tens of thousands of objects that stay until its end, and of no cycles: hundreds of
    collections take a thirtieth of its time, and find nothing. An answer to a request would wait for one of these.
    """
    freeze_loaded_objects()
    gc.set_threshold(COLLECTED_AFTER)


@contextmanager
def gc_disabled() -> Iterator[None]:
    """Disable garbage collection in the block, for work that makes no reference cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Divide the interval at which Python switches threads by ten in the block: from 5 ms to 0.5 ms."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
