"""A roll-out of another version under load, with a feature defined without a deploy.

No answer to a consumer that is pinned to 1.0 changes or fails.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import Stack
from tests.factories import ago

# These customers have no events during the roll-out; others do.
QUIET = [f"rollout-{number}" for number in range(20)]
NEW = "shoes_bought_7d"
EVENTS_PER_POST = 50
SECONDS_AT_MOST = 300.0
NEXT_NUMBER = """
from features.lifecycle import drafts
print(drafts.next_number("behavioral"))
"""
# Time-dependent features: their values change during the roll-out, whichever version is live.
MOVING = ("recency_score", "rfm_score")
DRAFT = f"""
from features.models import FeatureDefinition
from features.lifecycle import drafts, version_steps
shoes = FeatureDefinition.objects.create(
    name={NEW!r}, feature_type="behavioral", kind="sum", metadata_key="pairs", event_type="purchase",
    category="shoes", window_hours=7 * 24,
)
version = drafts.draft_version("behavioral", {{number!r}}, by=None, reason="Shoes sell again")
drafts.add_definitions(version.pk, [shoes], by=None)
version_steps.put_into_shadow(version.pk, by=None, reason="To compare")
"""
STEP = """
from features.models import FeatureVersion
from features.lifecycle import version_steps
version = FeatureVersion.objects.get(feature_type="behavioral", number={number!r})
version_steps.{step}(version.pk, by=None, reason="The roll-out", **{options!r})
"""
BACKFILL = """
from features.models import FeatureVersion
print(FeatureVersion.objects.get(feature_type="behavioral", number={number!r}).runs.first().state)
"""


@dataclass
class Consumer:
    """A thread that sends the same reads again and again, and keeps the answers that are wrong."""

    ask: Callable[[httpx.Client], list[dict[str, Any]]]
    check: Callable[[dict[str, Any]], str | None]
    answers: int = 0
    complaints: list[str] = field(default_factory=list)

    def consume(self, stack: Stack, *, until: threading.Event) -> None:
        """Read until the event is set."""
        with stack.api() as http:
            while not until.is_set():
                try:
                    for answer in self.ask(http):
                        self.answers += 1
                        if complaint := self.check(answer):
                            self.complaints.append(complaint)
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    self.complaints.append(repr(error))


def get_each(http: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    """Return every quiet customer's answer, one request each."""
    answers = [http.get(f"/api/v1/customers/{customer_id}/features/", params=parameters) for customer_id in QUIET]
    return [answer.raise_for_status().json() for answer in answers]


def get_batch(http: httpx.Client, names: list[str], **fields: Any) -> list[dict[str, Any]]:
    """Return every quiet customer's answer, from one request."""
    answer = http.post("/api/v1/features/batch/", json={"customer_ids": QUIET, "names": names, **fields})
    results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
    return results


def still(answer: dict[str, Any]) -> dict[str, float]:
    """Return the values that are not time-dependent."""
    return {name: value for name, value in answer["features"].items() if name not in MOVING}


class Pinned:
    """A consumer pinned to 1.0: its last answers must equal its first ones."""

    def __init__(self, http: httpx.Client) -> None:
        first = get_each(http, version="behavioral:1.0")
        self.first = {answer["customer_id"]: still(answer) for answer in first}

    def check(self, answer: dict[str, Any]) -> str | None:
        expected = {name: self.first[answer["customer_id"]][name] for name in still(answer)}
        names = set(answer["features"]) | set(answer["missing"])
        if NEW in names or answer["versions"]["behavioral"] != "1.0" or still(answer) != expected:
            return f"{answer}, and not {expected}"
        return None


class Unpinned:
    """A consumer of the live version: each answer is wholly of one version, in the order of the switches."""

    def __init__(self, number: str) -> None:
        """Take the number of the version that goes live meanwhile."""
        self.number = number
        self.versions_read: list[str] = []

    def check(self, answer: dict[str, Any]) -> str | None:
        number = answer["versions"]["behavioral"]
        if not self.versions_read or self.versions_read[-1] != number:
            self.versions_read.append(number)
        is_there = answer["features"].get(NEW) == 3.0 and NEW not in answer["missing"]
        return f"{answer}" if is_there != (number == self.number) else None


def event(customer_id: str, event_type: str, **fields: Any) -> dict[str, Any]:
    moment = ago(days=1).isoformat()
    return {
        "event_id": uuid4().hex,
        "customer_id": customer_id,
        "event_type": event_type,
        "timestamp": moment,
        **fields,
    }


def post(http: httpx.Client, events: list[dict[str, Any]]) -> None:
    http.post("/api/v1/events/", json={"events": events}).raise_for_status()


@pytest.fixture
def quiet(stack: Stack) -> None:
    """Ingest the events of the QUIET customers: some of every type, and three pairs of shoes."""
    shoes = {"amount": 80, "category": "shoes", "pairs": 3}
    with stack.api() as http:
        for number, customer_id in enumerate(QUIET):
            kinds = ["page_view"] * (number + 1) + ["email_open", "form_submit", "login"]
            post(http, [event(customer_id, kind, session_id=f"{number}") for kind in kinds])
            post(http, [event(customer_id, "purchase", metadata=shoes), event(customer_id, "purchase")])
        wait_until(lambda: all(still(answer)["purchases_30d"] == 2 for answer in get_each(http)))


def make_noise(stack: Stack, *, until: threading.Event) -> None:
    """Send other customers' events, so that workers have more to do than the roll-out."""
    with stack.api() as http:
        while not until.is_set():
            post(http, [event(f"busy-{number}", "page_view") for number in range(EVENTS_PER_POST)])
            time.sleep(0.1)


@contextmanager
def running(*targets: Callable[..., None], stack: Stack) -> Iterator[None]:
    """Run the functions in threads of their own until the block ends."""
    until = threading.Event()
    threads = [threading.Thread(target=target, args=[stack], kwargs={"until": until}) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_AT_MOST
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def is_known(http: httpx.Client, version: str) -> bool:
    """Return whether the answering process knows the version; all do SNAPSHOT_SECONDS after it became readable."""
    answer = http.post("/api/v1/features/batch/", json={"customer_ids": QUIET[:1], "names": [NEW], "version": version})
    return answer.status_code == httpx.codes.OK


def run(stack: Stack, code: str) -> str:
    return stack.manage("shell", "--verbosity=0", "-c", code).strip()


def take_step(stack: Stack, step: str, number: str, **options: bool) -> None:
    run(stack, STEP.format(step=step, number=number, options=options))


@pytest.mark.timeout(900)
def test_a_consumer_pinned_to_a_version_notices_nothing_of_the_next_one(stack: Stack, quiet: None) -> None:
    number = run(stack, NEXT_NUMBER)  # other tests on this stack make versions, too
    with stack.api() as http:
        pinned, unpinned = Pinned(http), Unpinned(number)
        names = list(pinned.first[QUIET[0]])
    by_get = Consumer(lambda http: get_each(http, version="behavioral:1.0"), pinned.check)
    by_batch = Consumer(lambda http: get_batch(http, names, version="1.0"), pinned.check)
    follower = Consumer(get_each, unpinned.check)
    consumers = [by_get, by_batch, follower]
    with running(make_noise, *(consumer.consume for consumer in consumers), stack=stack):
        run(stack, DRAFT.format(number=number))
        wait_until(lambda: run(stack, BACKFILL.format(number=number)).endswith("done"))
        with stack.api() as http:
            wait_until(lambda: is_known(http, f"behavioral:{number}"))
            shadow = get_batch(http, [NEW], version=f"behavioral:{number}")
            assert [answer["features"] for answer in shadow] == [{NEW: 3.0}] * len(QUIET)
        take_step(stack, "go_live", number)
        wait_until(lambda: unpinned.versions_read[-1] == number)
        time.sleep(5)  # the customers are published again meanwhile
        take_step(stack, "go_live", "1.0")
        wait_until(lambda: unpinned.versions_read[-1] == "1.0")
        take_step(stack, "retire", number, confirmed=True)
        time.sleep(2)
    assert [consumer.complaints[:3] for consumer in consumers] == [[], [], []]
    assert min(consumer.answers for consumer in consumers) > 1_000
    assert unpinned.versions_read == ["1.0", number, "1.0"]
