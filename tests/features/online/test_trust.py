"""Writers that Redis refuses wait until no process trusts it, however late their own process has looked."""

import time

import pytest

from features.online import trust as trust_module
from features.online.trust import SECONDS_TRUSTED, Trust


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the clock stand still but for sleeps, and return them."""
    slept: list[float] = []
    monkeypatch.setattr(trust_module.time, "monotonic", lambda: 1_000.0 + sum(slept))
    monkeypatch.setattr(trust_module.time, "sleep", slept.append)
    return slept


def watching(*, looked: float) -> Trust:
    """Return the trust of a process that has looked so many seconds ago, at a Redis in order."""
    trust = Trust()
    trust.begin()
    trust.renew(looked_at=time.monotonic() - looked)
    return trust


@pytest.mark.parametrize("looked", [0.0, 0.1, 0.45, 0.6, 30.0])
def test_a_writer_waits_for_all_looks_from_before_the_refusal(slept: list[float], looked: float) -> None:
    assert watching(looked=looked).wait_for_its_end()
    assert slept == [pytest.approx(SECONDS_TRUSTED)]


def test_the_next_writers_wait_for_the_rest_and_then_no_more(slept: list[float]) -> None:
    trust = watching(looked=0.0)
    trust.note_refusal()
    slept.append(0.2)
    assert trust.wait_for_its_end()
    assert slept[1:] == [pytest.approx(0.3)]
    assert not trust.wait_for_its_end()


def test_after_a_look_in_order_a_refusal_is_the_first_again(slept: list[float]) -> None:
    trust = watching(looked=0.0)
    trust.wait_for_its_end()
    trust.renew(looked_at=time.monotonic())
    assert trust.wait_for_its_end()


def test_a_refusal_that_was_long_ago_is_of_another_trouble(slept: list[float]) -> None:
    trust = watching(looked=0.0)
    trust.wait_for_its_end()
    slept.append(5.0)
    assert trust.wait_for_its_end()


def test_a_process_that_never_looks_does_not_wait(slept: list[float]) -> None:
    assert not Trust().wait_for_its_end()
    assert slept == []
