"""Python's garbage collector, in processes that live long."""

import gc


def freeze_loaded_objects() -> None:
    """What is loaded by now stays. Looking through it at every full collection would hold requests up for 100 ms, and
    is a seventh of the work on chunks of customers."""
    gc.collect()
    gc.freeze()
