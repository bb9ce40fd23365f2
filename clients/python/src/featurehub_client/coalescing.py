"""Single reads that are asked at once are sent as one batch.

Reads go together if they ask for the same names and versions, or for the same feature set; a customer that is asked for
twice is read once. Where a batch is refused for a wrong customer_id, that one is read by itself and the others are sent
again, so that each reader gets the answer to its own read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from threading import Event, Lock
from typing import TypeVar

from featurehub_client.errors import InvalidRequestError
from featurehub_client.models import FeatureValues
from featurehub_client.operations import CUSTOMERS_PER_REQUEST
from featurehub_client.sent import Selection

T = TypeVar("T")


def can_be_batched(selection: Selection) -> bool:
    """Return whether the selection can be read of many customers: the batch endpoint wants names or a set."""
    return selection.names is not None or selection.feature_set is not None


def parts_at_wrong(group: dict[str, T], error: InvalidRequestError) -> list[dict[str, T]]:
    """Return the others of a group and the one whose id is wrong; nothing where the error is of what all ask for."""
    match = re.fullmatch(r"customer_ids\.(\d+)", error.attr or "")
    if match is None or len(group) == 1:
        return []
    wrong = list(group)[int(match[1])]
    return [{name: group[name] for name in group if name != wrong}, {wrong: group[wrong]}]


class AsyncCoalescer:
    """Gather the reads that are awaited in the same turn of the event loop."""

    def __init__(
        self,
        *,
        read_one: Callable[[str, Selection], Awaitable[FeatureValues]],
        read_many: Callable[[list[str], Selection], Awaitable[list[FeatureValues]]],
    ) -> None:
        self._read_one = read_one
        self._read_many = read_many
        self._groups: dict[Selection, dict[str, list[asyncio.Future[FeatureValues]]]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def read(self, customer_id: str, selection: Selection) -> FeatureValues:
        """Return the customer's values."""
        loop = asyncio.get_running_loop()
        group = self._groups.get(selection)
        if group is None or len(group) == CUSTOMERS_PER_REQUEST:
            group = self._groups[selection] = {}
            # After the tasks that are ready now, each of which adds its read.
            loop.call_soon(self._send, group, selection)
        future: asyncio.Future[FeatureValues] = loop.create_future()
        group.setdefault(customer_id, []).append(future)
        return await future

    def _send(self, group: dict[str, list[asyncio.Future[FeatureValues]]], selection: Selection) -> None:
        if self._groups.get(selection) is group:
            del self._groups[selection]
        task = asyncio.create_task(self._answer(group, selection))
        # The loop itself holds tasks weakly.
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _answer(self, group: dict[str, list[asyncio.Future[FeatureValues]]], selection: Selection) -> None:
        futures = [future for waiting in group.values() for future in waiting]
        try:
            values = await self._values_of(list(group), selection)
        except InvalidRequestError as error:
            parts = parts_at_wrong(group, error)
            if not parts:
                fail(futures, error)
            for part in parts:
                await self._answer(part, selection)
        except asyncio.CancelledError:
            for future in futures:
                future.cancel()
            raise
        except Exception as error:  # the readers' to handle, whatever it is
            fail(futures, error)
        else:
            give(group.values(), values)

    async def _values_of(self, customer_ids: list[str], selection: Selection) -> list[FeatureValues]:
        if len(customer_ids) == 1:
            return [await self._read_one(customer_ids[0], selection)]
        return await self._read_many(customer_ids, selection)


def give(readers: Iterable[list["asyncio.Future[FeatureValues]"]], values: list[FeatureValues]) -> None:
    """Give each customer's values to its readers, but for those that were cancelled."""
    for waiting, answer in zip(readers, values, strict=True):
        for future in waiting:
            if not future.done():
                future.set_result(answer)


def fail(futures: Iterable["asyncio.Future[FeatureValues] | Future[FeatureValues]"], error: BaseException) -> None:
    """Raise the error in each reader that still waits."""
    for future in futures:
        if not future.done():
            future.set_exception(error)


class Group:
    """Reads of threads that are sent together: customer_id → the answer."""

    def __init__(self) -> None:
        self.answers: dict[str, Future[FeatureValues]] = {}
        self.is_full = Event()


class Coalescer:
    """Gather the reads that threads ask for within `window` seconds.

    The thread that asks first waits for that long, sends the batch and hands out the answers.
    """

    def __init__(
        self,
        *,
        window: float,
        read_one: Callable[[str, Selection], FeatureValues],
        read_many: Callable[[list[str], Selection], list[FeatureValues]],
    ) -> None:
        self._window = window
        self._read_one = read_one
        self._read_many = read_many
        self._lock = Lock()
        self._groups: dict[Selection, Group] = {}

    def read(self, customer_id: str, selection: Selection) -> FeatureValues:
        """Return the customer's values."""
        with self._lock:
            group = self._groups.get(selection)
            is_first = group is None
            if group is None:
                group = self._groups[selection] = Group()
            answer = group.answers.setdefault(customer_id, Future())
            if len(group.answers) == CUSTOMERS_PER_REQUEST:
                del self._groups[selection]
                group.is_full.set()
        if is_first:
            group.is_full.wait(self._window)
            with self._lock:
                if self._groups.get(selection) is group:
                    del self._groups[selection]
            self._answer(group.answers, selection)
        return answer.result()

    def _answer(self, answers: dict[str, "Future[FeatureValues]"], selection: Selection) -> None:
        try:
            values = self._values_of(list(answers), selection)
        except InvalidRequestError as error:
            parts = parts_at_wrong(answers, error)
            if not parts:
                fail(answers.values(), error)
            for part in parts:
                self._answer(part, selection)
        except BaseException as error:  # the other threads must not wait for ever
            fail(answers.values(), error)
        else:
            for answer, each in zip(answers.values(), values, strict=True):
                answer.set_result(each)

    def _values_of(self, customer_ids: list[str], selection: Selection) -> list[FeatureValues]:
        if len(customer_ids) == 1:
            return [self._read_one(customer_ids[0], selection)]
        return self._read_many(customer_ids, selection)
