"""Settings of the whole process are as before after the block that changes them."""

import gc
import sys

import pytest

from featurehub.lib.gc_tuning import gc_disabled, short_switch_interval


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
