"""The event buffer: when events are sent, what is lost and who is told."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest
from conftest import Target, eventually
from featurehub_client import BufferFullError, Buffering, FeatureHub, Loss, LossReason, NewEvent, Retries
from featurehub_client.testing import FakeServer

AT_ONCE = Retries(attempts=1)


def login(number: int = 0, *, customer_id: str = "c1") -> NewEvent:
    return NewEvent(customer_id=customer_id, event_type="login", event_id=f"e{number}")


def buffered(server: FakeServer, losses: list[Loss] | None = None, **settings: Any) -> FeatureHub:
    buffering = Buffering(on_loss=None if losses is None else losses.append, **settings)
    return server.client(retries=AT_ONCE, buffering=buffering)


def ids_of(losses: list[Loss]) -> list[bytes]:
    return [event.partition(b'"event_id":"')[2].partition(b'"')[0] for loss in losses for event in loss.events]


def test_a_full_batch_is_sent_at_once(featurehub_server: FakeServer) -> None:
    with buffered(featurehub_server, batch=10, capacity=100, interval=60) as hub:
        for number in range(10):
            hub.send_event(login(number))
        eventually(lambda: len(featurehub_server.events_of("c1")), lambda stored: stored == 10)
    assert len(featurehub_server.requests) == 1


def test_a_part_of_a_batch_is_sent_after_the_interval(featurehub_server: FakeServer) -> None:
    with buffered(featurehub_server, interval=0.1) as hub:
        hub.send_event(login(1))
        hub.send_event(login(2))
        assert featurehub_server.events_of("c1") == []
        eventually(lambda: len(featurehub_server.events_of("c1")), lambda stored: stored == 2)
    assert len(featurehub_server.requests) == 1


def test_closing_sends_what_is_left(featurehub_server: FakeServer) -> None:
    with buffered(featurehub_server, interval=60) as hub:
        hub.send_event(login())
    assert len(featurehub_server.events_of("c1")) == 1
    with pytest.raises(RuntimeError, match="The event buffer is closed"):
        hub.send_event(login())


def test_events_wait_for_a_server_that_is_away_and_are_stored_once(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(times=2, error=httpx.ConnectError)
    featurehub_server.fail(times=1, status=503)
    with buffered(featurehub_server, interval=0.01) as hub:
        for number in range(5):
            hub.send_event(login(number))
        assert hub.events.flush(timeout=20)
        assert (hub.events.counts.stored, hub.events.counts.lost) == (5, 0)
    assert [event.event_id for event in featurehub_server.events_of("c1")] == [f"e{number}" for number in range(5)]


def test_a_refused_event_is_given_up_and_the_others_are_stored(featurehub_server: FakeServer) -> None:
    losses: list[Loss] = []
    with buffered(featurehub_server, losses, interval=60) as hub:
        hub.send_event(login(1))
        hub.send_event(NewEvent(customer_id="c1", event_type="reading", event_id="wrong"))
        hub.send_event(login(2))
        assert hub.events.flush(timeout=10)
        assert (hub.events.counts.stored, hub.events.counts.lost) == (2, 1)
    [loss] = losses
    assert (loss.reason, ids_of(losses)) == (LossReason.REFUSED, [b"wrong"])
    assert loss.error is not None
    assert loss.error.code == "unregistered_event_type"


def test_a_callback_that_fails_does_not_keep_the_next_events(
    featurehub_server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(loss: Loss) -> None:
        raise OSError("The disk is full")

    buffering = Buffering(interval=0.01, on_loss=fail)
    with featurehub_server.client(retries=AT_ONCE, buffering=buffering) as hub:
        hub.send_event(NewEvent(customer_id="c1", event_type="reading"))
        assert hub.events.flush(timeout=10)
        hub.send_event(login())
    assert len(featurehub_server.events_of("c1")) == 1
    assert "The disk is full" in caplog.text


def test_events_of_erased_customers_are_given_up(featurehub_server: FakeServer) -> None:
    losses: list[Loss] = []
    with buffered(featurehub_server, losses) as hub:
        hub.erase_customer("c1")
        hub.send_event(login(1))
        hub.send_event(login(2, customer_id="c2"))
        assert hub.events.flush(timeout=10)
    assert ids_of(losses) == [b"e1"]
    assert len(featurehub_server.events_of("c2")) == 1


def test_a_wrong_key_gives_up_the_events_and_says_so(
    featurehub_server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    with featurehub_server.client("wrong") as hub:
        hub.send_event(login())
        assert hub.events.flush(timeout=10)
    assert "1 events are lost: refused. This API key is unknown, has expired or was revoked." in caplog.text


def fill(server: FakeServer, hub: FeatureHub, *, number: int = 10) -> Callable[[], None]:
    """Fill the buffer while the server holds its answers back. Return the function that lets it answer."""
    server._lock.acquire()
    for place in range(number):
        hub.send_event(login(place))
    return server._lock.release


def test_a_full_buffer_blocks_until_there_is_room(featurehub_server: FakeServer) -> None:
    with buffered(featurehub_server, batch=5, capacity=10) as hub:
        answer = fill(featurehub_server, hub)
        with pytest.raises(BufferFullError, match="The event buffer holds 10 events that are not sent yet"):
            hub.events.put(login(10), timeout=0.05)
        later = threading.Thread(target=hub.send_event, args=(login(11),))
        later.start()
        later.join(0.05)
        assert later.is_alive()
        answer()
        later.join(10)
        assert hub.events.flush(timeout=10)
        assert hub.events.counts.stored == 11


def test_a_full_buffer_may_drop_the_oldest(featurehub_server: FakeServer) -> None:
    losses: list[Loss] = []
    with buffered(featurehub_server, losses, batch=5, capacity=10, when_full="drop_oldest") as hub:
        answer = fill(featurehub_server, hub, number=13)
        answer()
        assert hub.events.flush(timeout=10)
        assert (hub.events.counts.stored, hub.events.counts.lost) == (10, 3)
    assert {loss.reason for loss in losses} == {LossReason.BUFFER_FULL}


def test_a_full_buffer_may_raise(featurehub_server: FakeServer) -> None:
    with buffered(featurehub_server, batch=5, capacity=10, when_full="raise") as hub:
        answer = fill(featurehub_server, hub)
        with pytest.raises(BufferFullError):
            hub.send_event(login(10))
        answer()


def test_what_is_not_sent_at_close_is_given_up_and_told(featurehub_server: FakeServer) -> None:
    losses: list[Loss] = []
    hub = buffered(featurehub_server, losses, interval=0.01, close_timeout=0.2)
    featurehub_server.fail(times=1_000, error=httpx.ConnectError)
    hub.send_event(login(1))
    began = time.monotonic()
    hub.close()
    assert time.monotonic() - began < 5
    assert [loss.reason for loss in losses] == [LossReason.NOT_SENT_AT_CLOSE]
    assert (ids_of(losses), hub.events.counts.lost) == ([b"e1"], 1)


def test_an_event_is_checked_and_kept_as_it_was_put(featurehub_server: FakeServer) -> None:
    with buffered(featurehub_server) as hub:
        with pytest.raises(ValueError, match="has an offset from UTC"):
            hub.send_event(NewEvent(customer_id="c1", event_type="login", timestamp=datetime(2026, 1, 1)))  # noqa: DTZ001
        with pytest.raises(ValueError, match="An event is at most 16,384 bytes as JSON, not 20,"):
            hub.send_event(NewEvent(customer_id="c1", event_type="login", metadata={"note": "x" * 20_000}))
        metadata = {"amount": 1.0}
        hub.send_event(NewEvent(customer_id="c1", event_type="purchase", metadata=metadata))
        metadata["amount"] = 2.0
    [event] = featurehub_server.events_of("c1")
    assert event.metadata == {"amount": 1.0}


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="'sometimes' is not a valid WhenFull"):
        Buffering(when_full="sometimes")
    with pytest.raises(ValueError, match="at most half of `capacity`"):
        Buffering(batch=10, capacity=15)


def test_the_asynchronous_client_waits_for_room_without_holding_up_the_loop(featurehub_server: FakeServer) -> None:
    async def send() -> tuple[bool, int]:
        buffering = Buffering(batch=5, capacity=10)
        async with featurehub_server.async_client(buffering=buffering) as hub:
            featurehub_server._lock.acquire()
            sending = asyncio.create_task(send_all(hub))
            await asyncio.sleep(0.1)
            is_waiting = not sending.done()
            featurehub_server._lock.release()
            await sending
        return is_waiting, hub.events.counts.stored

    async def send_all(hub: Any) -> None:
        for number in range(12):
            await hub.send_event(login(number))

    assert asyncio.run(send()) == (True, 12)


PROGRAM = """
import os, signal, sys
from featurehub_client import Buffering, FeatureHub, NewEvent
hub = FeatureHub({url!r}, {key!r}, buffering=Buffering(interval=60))
hub.send_event(NewEvent(customer_id={customer_id!r}, event_type="login"))
{end}
"""


# The fake server is in this process, and can't be reached from another one.
@pytest.mark.parametrize("target", ["real"], indirect=True)
@pytest.mark.parametrize(
    ("end", "status", "stored"),
    [("", 0, 1), ("sys.exit(3)", 3, 1), ("1 / 0", 1, 1), ("os.kill(os.getpid(), signal.SIGKILL)", -9, 0)],
    ids=["ends", "exits", "raises", "is killed"],
)
def test_a_process_that_exits_sends_what_is_left_and_one_that_is_killed_does_not(
    target: Target, customer_id: str, end: str, status: int, stored: int
) -> None:
    program = textwrap.dedent(PROGRAM).format(url=target.url, key=target.key, customer_id=customer_id, end=end)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    with target.client() as hub:
        assert hub.erase_customer(customer_id).events == stored
