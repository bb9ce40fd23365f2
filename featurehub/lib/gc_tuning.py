"""Settings of the Python interpreter that hold for a whole process: only commands and entry points change them."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def freeze_loaded_objects() -> None:
    """Exclude all objects that exist now from garbage collection.

    A full collection that includes them delays requests by 100 ms, and takes a seventh of the time of a chunk of
    customers.
    """
    gc.collect()
    gc.freeze()


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
