"""Settings of the whole process are as before after the block that changes them."""

import gc
import sys

import pytest

from featurehub.lib.gc_tuning import gc_disabled, short_switch_interval, tune_for_batch_work


def fail_with_other_settings(usual: float) -> None:
    with gc_disabled(), short_switch_interval():
        assert not gc.isenabled()
        assert sys.getswitchinterval() == pytest.approx(usual / 10)
        raise ValueError("stop")


def test_the_settings_are_restored_also_after_an_error() -> None:
    usual = sys.getswitchinterval()
    with pytest.raises(ValueError, match="stop"):
        fail_with_other_settings(usual)
    assert gc.isenabled()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_batch_work_makes_many_objects_without_a_collection() -> None:
    usual, collections = gc.get_threshold(), []
    tune_for_batch_work()
    gc.callbacks.append(lambda phase, info: collections.append(phase))
    try:
        rows = [{"number": number} for number in range(50_000)]
    finally:
        gc.callbacks.pop()  # before the usual threshold: the next new object begins a collection then
        gc.set_threshold(*usual)
        gc.unfreeze()
    assert (len(rows), collections) == (50_000, [])
