"""Breakers: open after a failure, closed by the first probe that succeeds, and only in a pool."""

import time
from collections.abc import Callable
from threading import Event

import pytest
from pytest_django import Settings

from featurehub.lib.breaker import Breaker
from tests.at_once import in_a_child

SECONDS_AT_MOST = 10.0


@pytest.fixture
def in_a_pool(settings: Settings) -> None:
    settings.POOL = "api"


def wait_for(claim: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS_AT_MOST
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)


class Service:
    """A service that answers once it is back; it counts the probes and whether one of them found the breaker open."""

    def __init__(self) -> None:
        self.is_back = Event()
        self.probes = 0
        self.was_refused = False
        self.breaker = Breaker("The service", probe=self.answer)

    def answer(self) -> None:
        self.probes += 1
        self.was_refused = self.was_refused or self.breaker.is_open
        if not self.is_back.is_set():
            raise OSError("away")


@pytest.mark.usefixtures("in_a_pool")
def test_it_is_open_from_a_failure_until_a_probe_succeeds() -> None:
    service = Service()
    assert not service.breaker.is_open
    service.breaker.open("a failure")
    assert service.breaker.is_open
    wait_for(lambda: service.probes >= 2)
    assert service.breaker.is_open
    service.is_back.set()
    wait_for(lambda: not service.breaker.is_open)
    assert not service.was_refused


@pytest.mark.usefixtures("in_a_pool")
def test_many_failures_have_one_prober() -> None:
    service = Service()
    for _ in range(50):
        service.breaker.open("a failure")
    wait_for(lambda: service.probes >= 2)
    assert service.probes < 10
    service.is_back.set()
    wait_for(lambda: not service.breaker.is_open)


@pytest.mark.usefixtures("in_a_pool")
def test_it_opens_again_after_it_was_closed() -> None:
    service = Service()
    service.is_back.set()
    for number in range(3):
        service.breaker.open("a failure")
        wait_for(lambda: not service.breaker.is_open)
        assert service.probes == number + 1


def test_outside_the_pools_it_never_opens() -> None:
    service = Service()
    service.breaker.open("a failure")
    assert not service.breaker.is_open
    assert service.probes == 0


@pytest.mark.usefixtures("in_a_pool")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_without_the_prober_is_not_kept_out(committed: None) -> None:
    service = Service()
    service.breaker.open("a failure")

    def look() -> None:
        assert not service.breaker.is_open

    assert in_a_child(look) == 0
    service.is_back.set()
    wait_for(lambda: not service.breaker.is_open)
