"""Constant writes and reads: clients that note every acknowledged write, and everything that readers are shown.

Customers come and go: each is written for some seconds and only read after that, as most customers are, so that an old
value that comes back is not at once replaced by a new one.
"""

import http.client
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from threading import Event
from typing import Any

from tests.faults.checker import COUNTS, VALUE
from tests.faults.console import Console, ConsoleError
from tests.faults.fault import Pace
from tests.faults.journal import Erasure, Journal, Request, SentEvent, SentValue, Shown

SECONDS_AT_MOST = 15.0  # of a connection; the checker refuses waits long before that
SECONDS_UNTIL_SENT_AGAIN = 0.15
SECONDS_OF_A_CUSTOMER = 0.25  # a new one begins so often
WRITTEN_AT_ONCE = 12
SECONDS_AHEAD = 2.0
EVENT_TYPES = ("page_view", "purchase", "login")
NAMES = [*COUNTS.values(), "engagement_score"]


class Client:
    """A connection that is opened again after it broke; each request is noted in the journal."""

    def __init__(self, port: int, *, key: str, journal: Journal) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_AT_MOST)
        self._headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}
        self._journal = journal

    def close(self) -> None:
        self._connection.close()

    def ask(self, kind: str, method: str, path: str, body: Any = None) -> tuple[Request, Any]:
        """Return the request as noted, and the answer's JSON where it is a success."""
        begun, status, answer, retry_after = time.time(), 0, None, None
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            response = self._connection.getresponse()
            text = response.read()
            status, retry_after = response.status, response.headers["Retry-After"]
            answer = json.loads(text) if 200 <= status < 300 else None
        except (OSError, http.client.HTTPException):
            self._connection.close()
        request = Request(kind=kind, begun=begun, ended=time.time(), status=status, retry_after=retry_after)
        self._journal.requests.append(request)
        return request, answer


class Workload:
    """Writers and readers in threads. Ids of customers begin with `prefix`."""

    def __init__(self, *, port: int, key: str, prefix: str, console: Console, pace: Pace) -> None:
        self.journal = Journal()
        self.prefix = prefix
        self._clients = ExitStack()
        self._new_client: Callable[[], Client] = lambda: self._clients.enter_context(
            closing(Client(port, key=key, journal=self.journal))
        )
        self._console = console
        self._pace = pace
        self._customers: list[str] = []
        self._numbers = count(1)
        self._stop_writing, self._stop_reading = Event(), Event()
        self._begun = time.time()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write and read until `finish_writing` and the end of the block. Raises what a thread raised."""
        writers = (self.write_events, self.write_batches, self.write_values, self.erase, self.activate)
        readers = (self.read_vectors, self.read_values, self.read_batches, self.note_delay)
        with self._clients, ThreadPoolExecutor(len(writers) + len(readers)) as threads:
            self._own_client = self._new_client()
            self._writing: list[Future[None]] = [threads.submit(writer) for writer in writers]
            reading = [threads.submit(reader) for reader in readers]
            try:
                yield
                self.finish_writing()
            finally:
                self._stop_writing.set()
                self._stop_reading.set()
            for thread in reading:
                thread.result()

    def finish_writing(self) -> None:
        """Return when the writers have ended, each after the answer to its last request."""
        self._stop_writing.set()
        for thread in self._writing:
            thread.result()

    def customers(self) -> list[str]:
        """Return the ids of all customers so far, those that were erased among them."""
        return [*self._customers, *(one.customer for one in list(self.journal.erasures))]

    # --- Writers ------------------------------------------------------------------------------------------------------

    def current(self) -> Sequence[str]:
        """Return the customers that are written at the moment."""
        due = int((time.time() - self._begun) / SECONDS_OF_A_CUSTOMER) + 1
        while len(self._customers) < due:
            self._customers.append(f"{self.prefix}-{len(self._customers)}")
        return self._customers[-WRITTEN_AT_ONCE:]

    def new_event(self, customer: str, *, ahead: float = 0.0) -> SentEvent:
        moment = round(time.time() + ahead - (0.0 if ahead else 5.0), 6)
        event = SentEvent(
            event_id=f"{self.prefix}-{next(self._numbers)}", customer=customer,
            event_type=random.choice(EVENT_TYPES), timestamp=moment, sent=time.time(),
        )  # fmt: skip
        self.journal.events.append(event)
        return event

    def post(self, client: Client, events: Sequence[SentEvent], *, kind: str) -> None:
        """Send the events again until they are acknowledged, as an upstream does, while the workload lasts."""
        body = {"events": [as_json(event) for event in events]}
        while True:
            request, answer = client.ask(kind, "POST", "/api/v1/events/", body)
            if answer is not None:
                refused = {one["index"] for one in answer.get("refused", ())}
                for index, event in enumerate(events):
                    if index in refused:
                        event.refused = request.ended
                    else:
                        event.acknowledged = min(event.acknowledged, request.ended)
                return
            if self._stop_writing.wait(SECONDS_UNTIL_SENT_AGAIN):
                return

    def write_events(self) -> None:
        client = self._new_client()
        while not self._stop_writing.wait(0.05):
            ahead = SECONDS_AHEAD if random.random() < self._pace.ahead else 0.0
            self.post(client, [self.new_event(random.choice(self.current()), ahead=ahead)], kind="event")

    def write_batches(self) -> None:
        """Post batches, with some events of earlier ones, and some of customers that are being erased."""
        client, earlier = self._new_client(), list[SentEvent]()
        while not self._stop_writing.wait(0.2):
            erased = [one.customer for one in self.journal.erasures[-2:]]
            batch = [self.new_event(random.choice([*self.current(), *erased])) for _ in range(10)]
            self.post(client, [*batch, *random.sample(earlier, min(3, len(earlier)))], kind="events")
            earlier = [event for event in batch if event.customer not in erased]

    def write_values(self) -> None:
        client = self._new_client()
        while not self._stop_writing.wait(0.05):
            self.write_value(client, random.choice(self.current()))

    def write_value(self, client: Client, customer: str) -> bool:
        number, sent = float(next(self._numbers)), time.time()
        place = len(self.journal.values)
        self.journal.values.append(SentValue(customer=customer, number=number, sent=sent))
        body = {"feature_type": "contextual", "version": "1.0", "features": {VALUE: number}}
        request, answer = client.ask("value", "PATCH", f"/api/v1/customers/{customer}/features/", body)
        if answer is not None:
            assert answer["features"][VALUE] == number
            self.journal.values[place] = SentValue(
                customer=customer, number=number, sent=sent, acknowledged=request.ended
            )
        return answer is not None

    def erase(self) -> None:
        """Fill a customer, erase it while batches bring events of it, and go on until the receipt."""
        client = self._new_client()
        for number in count():
            if self._stop_writing.wait(self._pace.erasures):
                return
            customer = f"{self.prefix}-x{number}"
            self.post(client, [self.new_event(customer) for _ in range(3)], kind="event")
            erasure = Erasure(customer=customer, sent=time.time())
            self.journal.erasures.append(erasure)
            self._stop_writing.wait(0.3)
            while True:
                request, receipt = client.ask("erasure", "DELETE", f"/api/v1/customers/{customer}/")
                if receipt is not None:
                    erasure.is_complete = receipt["redis_keys"] is not None
                    erasure.acknowledged = request.ended
                    break
                if self._stop_writing.wait(SECONDS_UNTIL_SENT_AGAIN):
                    return

    def activate(self) -> None:
        """Activate other weights now and then; what became of it, the end shows."""
        wait = 1.0
        while not self._stop_writing.wait(wait):
            wait = self._pace.activations
            with suppress(ConsoleError):
                self._console.ask("activate", some_weights(), random.uniform(50.0, 500.0))

    # --- Readers ------------------------------------------------------------------------------------------------------

    def some_customers(self, number: int) -> list[str]:
        """Return customers: half of them were written within the last seconds."""
        everybody = self.customers() or [f"{self.prefix}-0"]
        return [random.choice(everybody[-2 * WRITTEN_AT_ONCE :] if half else everybody) for half in in_turn(number)]

    def read_vectors(self) -> None:
        client = self._new_client()
        while not self._stop_reading.wait(0.02):
            for customer in self.some_customers(2):
                self.read_vector(client, customer)

    def read_vector(self, client: Client, customer: str) -> Shown | None:
        request, answer = client.ask("vector", "GET", f"/api/v1/customers/{customer}/vector/")
        return None if answer is None else self.note(request, answer, weight_set=answer["metadata"].get("weight_set"))

    def read_values(self) -> None:
        client, names = self._new_client(), ",".join(NAMES)
        while not self._stop_reading.wait(0.02):
            for customer in self.some_customers(2):
                path = f"/api/v1/customers/{customer}/features/?names={names}"
                request, answer = client.ask("features", "GET", path)
                if answer is not None:
                    self.note(request, answer, as_of=moment_of(answer["computed_at"]))

    def read_batches(self) -> None:
        client = self._new_client()
        while not self._stop_reading.wait(0.1):
            body = {"customer_ids": sorted(set(self.some_customers(30))), "names": [*NAMES, VALUE]}
            request, answer = client.ask("batch", "POST", "/api/v1/features/batch/", body)
            for result in answer["results"] if answer else ():
                self.note(request, result)

    def note(
        self, request: Request, answer: dict[str, Any], *, as_of: float | None = None, weight_set: int | None = None
    ) -> Shown:
        shown = Shown(
            customer=answer["customer_id"], begun=request.begun, ended=request.ended, features=answer["features"],
            is_empty=len(answer["missing"]) == len(answer["features"]), as_of=as_of, weight_set=weight_set,
        )  # fmt: skip
        self.journal.shown.append(shown)
        return shown

    def note_delay(self) -> None:
        """Note how late the machine wakes a thread: so much later than the answer a client may have noticed it."""
        while not self._stop_reading.is_set():
            due = time.time() + 0.05
            time.sleep(0.05)
            self.journal.late.append(time.time() - due)

    def read_everybody(self) -> list[Shown]:
        """Return the vector of each customer, read until it is given."""
        return [self.read_until_given(customer) for customer in self.customers()]

    def read_until_given(self, customer: str) -> Shown:
        while (shown := self.read_vector(self._own_client, customer)) is None:
            time.sleep(SECONDS_UNTIL_SENT_AGAIN)
        return shown


def as_json(event: SentEvent) -> dict[str, Any]:
    moment = datetime.fromtimestamp(event.timestamp, UTC).isoformat()
    metadata = {"metadata": {"amount": 10.0}} if event.event_type == "purchase" else {}
    return {
        "event_id": event.event_id, "customer_id": event.customer, "event_type": event.event_type,
        "timestamp": moment, **metadata,
    }  # fmt: skip


def moment_of(text: str | None) -> float:
    """Return the moment in seconds since 1970; 0 where there is none."""
    return 0.0 if text is None else datetime.fromisoformat(text).timestamp()


def some_weights() -> dict[str, list[float]]:
    """Return weights and norms at which a few events make a difference."""
    return {event_type: [round(random.uniform(0.05, 0.3), 3), float(random.randint(20, 80))] for event_type in COUNTS}


def in_turn(number: int) -> Iterator[bool]:
    return (place % 2 == 0 for place in range(number))
