"""Snapshots of something in PostgreSQL: their age, and their behaviour while PostgreSQL is away."""

import sys
import time
from collections.abc import Callable, Iterator
from threading import Barrier, Event

import pytest
from django.db import InterfaceError, OperationalError
from pytest_django import Settings

from featurehub.lib.snapshot import Snapshot
from tests.at_once import at_once
from tests.conftest import SNAPSHOTS

FOREVER = 3600.0


class Source:
    """A loader that returns 1, 2, 3, … unless it is away."""

    def __init__(self) -> None:
        self.loads = 0
        self.away: Exception | None = None
        self.while_loading: Callable[[], object] = lambda: None

    def load(self) -> int:
        self.loads += 1
        self.while_loading()
        if self.away is not None:
            raise self.away
        return self.loads


@pytest.fixture
def source() -> Source:
    return Source()


def test_it_is_loaded_at_the_first_use_and_kept(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=FOREVER)
    assert source.loads == 0
    assert [snapshot.get() for _ in range(3)] == [1, 1, 1]


def test_it_is_loaded_again_when_it_is_too_old(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=0)
    assert [snapshot.get() for _ in range(3)] == [1, 2, 3]


def test_a_reader_may_ask_for_a_younger_one(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=FOREVER)
    assert [snapshot.get(), snapshot.get(younger_than=0), snapshot.get(younger_than=FOREVER)] == [1, 2, 2]


def test_a_copy_that_must_be_younger_is_kept_while_its_fingerprint_is_the_same(source: Source) -> None:
    fingerprints = ["a", "a", "b", "b"]
    snapshot = Snapshot(source.load, seconds=FOREVER, fingerprint=lambda: fingerprints.pop(0))
    # One at the first load, an equal one, another one, and one more before the load that follows from it.
    assert [snapshot.get(), snapshot.get(younger_than=0), snapshot.get(younger_than=0)] == [1, 1, 2]
    assert fingerprints == []


def test_beyond_its_age_it_is_loaded_whatever_its_fingerprint(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=0, fingerprint=lambda: "the same")
    assert [snapshot.get(), snapshot.get(younger_than=0), snapshot.get()] == [1, 2, 3]


def test_the_last_copy_serves_while_there_is_no_fingerprint_to_compare(source: Source) -> None:
    def fingerprint() -> str:
        if source.away is not None:
            raise source.away
        return "the same"

    snapshot = Snapshot(source.load, seconds=FOREVER, fingerprint=fingerprint)
    snapshot.get()
    source.away = OperationalError()
    assert snapshot.get(younger_than=0) == 1
    assert source.loads == 1


def test_it_is_loaded_again_after_it_was_forgotten(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=FOREVER)
    snapshot.get()
    snapshot.forget()
    assert snapshot.get() == 2


@pytest.mark.parametrize("away", [OperationalError(), InterfaceError()])
def test_the_last_copy_serves_while_postgresql_is_away(source: Source, away: Exception) -> None:
    snapshot = Snapshot(source.load, seconds=0)
    snapshot.get()
    source.away = away
    assert [snapshot.get(), snapshot.get()] == [1, 1]
    source.away = None
    assert snapshot.get() == 4


def test_while_postgresql_is_away_it_is_not_asked_more_often(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=FOREVER)
    snapshot.get()
    source.away = OperationalError()
    snapshot.get(younger_than=0)
    assert [snapshot.get(younger_than=60) for _ in range(5)] == [1] * 5
    assert source.loads == 2


def test_without_a_copy_the_absence_is_an_error(source: Source) -> None:
    source.away = OperationalError()
    with pytest.raises(OperationalError):
        Snapshot(source.load, seconds=FOREVER).get()


def test_another_error_is_no_absence(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=0)
    snapshot.get()
    source.away = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        snapshot.get()


def test_many_threads_at_its_first_use_load_it_once(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=FOREVER)
    assert at_once(*[snapshot.get] * 8) == [1] * 8
    assert source.loads == 1


def test_while_one_thread_loads_it_again_the_others_go_on_with_the_old_copy(source: Source) -> None:
    snapshot = Snapshot(source.load, seconds=0)
    snapshot.get()
    loading, others_are_through = Event(), Barrier(4)

    def wait_for_the_others() -> None:
        loading.set()
        others_are_through.wait(20)

    def get_meanwhile() -> int:
        assert loading.wait(20)
        value = snapshot.get()
        others_are_through.wait(20)
        return value

    source.while_loading = wait_for_the_others
    assert at_once(snapshot.get, get_meanwhile, get_meanwhile, get_meanwhile) == [2, 1, 1, 1]


# --- In a pool --------------------------------------------------------------------------------------------------------


def wait_for(claim: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def kept(source: Source, settings: Settings) -> Iterator[Snapshot[int]]:
    """Return a snapshot that a process of a pool keeps young in the background."""
    settings.POOL = "api"
    snapshot = Snapshot(source.load, seconds=0.2, in_background=True)
    yield snapshot
    settings.POOL = ""
    snapshot._keep_young = lambda: None  # type: ignore[method-assign]


def test_in_a_pool_it_is_loaded_again_beside_its_readers(source: Source, kept: Snapshot[int]) -> None:
    kept.get()
    wait_for(lambda: source.loads >= 4)
    before = source.loads
    assert kept.get() >= before - 1  # the last of them may not have ended yet


def test_in_a_pool_nobody_waits_for_a_load_once_there_is_a_copy(source: Source, kept: Snapshot[int]) -> None:
    kept.get()
    loading, may_end = Event(), Event()

    def wait() -> None:
        loading.set()
        may_end.wait(20)

    source.while_loading = wait
    assert loading.wait(20)
    time.sleep(0.5)  # older than its age by far
    begun = time.monotonic()
    assert kept.get() >= 1
    assert time.monotonic() - begun < 5  # the load goes on for twenty
    source.while_loading = lambda: None
    may_end.set()


def test_in_a_pool_the_last_copy_serves_while_postgresql_is_away(source: Source, kept: Snapshot[int]) -> None:
    kept.get()
    source.away = OperationalError()
    wait_for(lambda: source.loads >= 3)
    value = kept.get()
    source.away = None
    wait_for(lambda: kept.get() > value)


def test_in_a_pool_an_error_of_the_load_does_not_end_the_reloads(source: Source, kept: Snapshot[int]) -> None:
    kept.get()
    source.away = ZeroDivisionError()
    wait_for(lambda: source.loads >= 3)
    source.away = None
    value = kept.get()
    wait_for(lambda: kept.get() > value)


def test_in_a_pool_it_is_loaded_at_its_early_end(settings: Settings) -> None:
    settings.POOL = "api"
    loads: list[float] = []

    def load() -> float:
        loads.append(time.monotonic())
        return 0.3 if len(loads) <= 2 else 3600.0

    snapshot = Snapshot(load, seconds=FOREVER, until=lambda held: held, in_background=True)
    snapshot.get()
    wait_for(lambda: snapshot.get() == 3600.0)
    assert 0.29 < loads[-1] - loads[0] < 20  # its age would end after an hour


def test_a_load_that_began_before_the_copy_was_forgotten_comes_too_late(source: Source, settings: Settings) -> None:
    snapshot = Snapshot(source.load, seconds=FOREVER)
    loading, may_end = Event(), Event()

    def wait() -> None:
        loading.set()
        may_end.wait(20)

    source.while_loading = wait

    def forget_meanwhile() -> int:
        assert loading.wait(20)
        snapshot.forget()
        source.while_loading = lambda: None
        may_end.set()
        return 0

    at_once(snapshot.get, forget_meanwhile)
    assert snapshot.get() == 2


def test_each_test_begins_without_any_snapshot_of_an_earlier_one() -> None:
    ours = [module for name, module in sys.modules.items() if name.startswith(("featurehub.", "features.", "events."))]
    found = {value for module in ours for value in vars(module).values() if isinstance(value, Snapshot)}
    assert found == set(SNAPSHOTS)
