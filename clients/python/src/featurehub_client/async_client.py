"""The client for code of an event loop of asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from featurehub_client import frames, models, operations
from featurehub_client.coalescing import AsyncCoalescer, can_be_batched
from featurehub_client.event_buffer import Buffering, EventBuffer
from featurehub_client.frames import AnyFrame
from featurehub_client.http import AsyncSender, Connection, Sender, connection_to
from featurehub_client.pages import rows_of_pages_later
from featurehub_client.retries import Retries
from featurehub_client.sent import Entity, NewEvent, PatchedRow, Selection, WeightChange

T = TypeVar("T")


class AsyncFeatureHub:
    """A FeatureHub server, for the tasks of one event loop; it holds a pool of connections until `aclose`.

    It has the methods of FeatureHub, to be awaited, takes the same arguments and raises the same errors. Single reads
    that are awaited in the same turn of the loop are sent as one batch, unless `coalesce` is False. A thread sends the
    events: it goes on where the loop is busy, and at the exit of the interpreter.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: Retries | None = None,
        connections: int = 20,
        coalesce: bool = True,
        buffering: Buffering | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        event_transport: httpx.BaseTransport | None = None,
    ) -> None:
        url, api_key = connection_to(url, api_key)
        connection = Connection(
            url=url, api_key=api_key, timeout=timeout, retries=retries or Retries(), connections=connections,
            transport=event_transport, async_transport=transport,
        )  # fmt: skip
        self._sender = AsyncSender(connection)
        self._event_sender = Sender(connection)
        self._coalescer = None
        if coalesce:
            self._coalescer = AsyncCoalescer(read_one=self._read_one, read_many=self._read_many)
        self.events = EventBuffer(self._store, buffering or Buffering())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Send the events in the buffer, then close the connections."""
        await asyncio.to_thread(self.events.close)
        self._event_sender.close()
        await self._sender.aclose()

    # --- Values -------------------------------------------------------------------------------------------------------

    async def get_customer_features(
        self,
        customer_id: str,
        names: Sequence[str] | None = None,
        *,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
    ) -> models.FeatureValues:
        """Return the named values of a customer, all of them without names, or those of a feature set.

        `versions` are such as `behavioral:1.0`, one of a type; the live ones are read of the others.
        """
        selection = Selection.of(names, versions=versions, feature_set=feature_set)
        if self._coalescer is not None and can_be_batched(selection):
            return await self._coalescer.read(customer_id, selection)
        return await self._read_one(customer_id, selection)

    async def get_features_of_customers(
        self,
        customer_ids: Iterable[str],
        names: Sequence[str] | None = None,
        *,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
    ) -> list[models.FeatureValues]:
        """Return the values of many customers in the order asked, by a request for each 1,000."""
        selection = Selection.of(names, versions=versions, feature_set=feature_set)
        return await self._read_many(customer_ids, selection)

    async def set_customer_features(
        self,
        customer_id: str,
        features: Mapping[str, float],
        *,
        feature_type: str,
        version: str = "1.0",
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> models.WrittenFeatures:
        """Set the named values of a customer, keep the others, and return those that hold at `timestamp`, or now.

        `feature_type` is one that clients write: `customer` or `contextual`.
        """
        return await self._sender.send(
            operations.set_customer_features(
                customer_id,
                features,
                feature_type=feature_type,
                version=version,
                metadata=metadata,
                timestamp=timestamp,
            )
        )

    async def set_features_of_customers(
        self, rows: Iterable[PatchedRow], *, feature_type: str, version: str = "1.0"
    ) -> models.WrittenRows:
        """Set values of many customers, by a request for each 10,000 rows, which writes all of them or none."""
        requests = operations.set_features_of_customers(rows, feature_type=feature_type, version=version)
        return operations.joined_written_rows(await self._send_each(requests))

    async def get_feature_vector(self, customer_id: str) -> models.FeatureVector:
        """Return every live value of a customer."""
        return await self._sender.send(operations.get_feature_vector(customer_id))

    # --- History, training and lists ----------------------------------------------------------------------------------

    async def get_feature_history(
        self,
        customer_id: str,
        name: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        version: str | None = None,
    ) -> models.HistoryPage:
        """Return a page of the rows that hold the feature, the newest first; the next one by its `next_cursor`."""
        return await self._sender.send(
            operations.get_feature_history(
                customer_id, name, limit=limit, cursor=cursor, since=since, until=until, version=version
            )
        )

    def iterate_feature_history(
        self,
        customer_id: str,
        name: str,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        version: str | None = None,
    ) -> AsyncIterator[models.HistoryRow]:
        """Yield the rows of all pages of `limit` rows each, the newest first."""
        asked = partial(self.get_feature_history, limit=limit, since=since, until=until, version=version)
        return rows_of_pages_later(partial(asked, customer_id, name))

    async def get_features_as_of(
        self,
        entities: Iterable[Entity | tuple[str, datetime]],
        names: Sequence[str] | None = None,
        *,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
        known_at: datetime | None = None,
    ) -> models.AsOfRows:
        """Return the values that each customer had at its moment, in the order asked, by a request for each 10,000.

        With `known_at`, only what was stored by then.
        """
        selection = Selection.of(names, versions=versions, feature_set=feature_set)
        asked = (each if isinstance(each, Entity) else Entity(*each) for each in entities)
        requests = operations.get_features_as_of(asked, selection, known_at=known_at)
        return operations.joined_as_of_rows(await self._send_each(requests))

    async def get_training_set(
        self,
        frame: AnyFrame,
        names: Sequence[str] | None = None,
        *,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
        known_at: datetime | None = None,
    ) -> AnyFrame:
        """Return the frame with a column for each feature: the value that held for its row, null where there was none.

        The frame, of pandas, polars or pyarrow, has the columns `customer_id` and `timestamp`; others, such as labels,
        are kept.
        """
        entities = frames.entities_in(frame)
        rows = await self.get_features_as_of(
            entities, names, versions=versions, feature_set=feature_set, known_at=known_at
        )
        return frames.with_features(frame, rows)

    async def set_features_of_frame(
        self, frame: AnyFrame, *, feature_type: str, version: str = "1.0"
    ) -> models.WrittenRows:
        """Set the values of a frame: `customer_id`, optionally `timestamp`, and a column for each feature.

        A null is left out; a row of nulls is not written.
        """
        return await self.set_features_of_customers(frames.rows_in(frame), feature_type=feature_type, version=version)

    async def list_customers(
        self,
        *,
        order: str | None = None,
        where: Sequence[str] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.CustomerPage:
        """Return a page of customers that meet every condition, such as `engagement_score>=0.7`; `order` sorts them."""
        return await self._sender.send(operations.list_customers(order=order, where=where, limit=limit, cursor=cursor))

    def iterate_customers(
        self, *, order: str | None = None, where: Sequence[str] = (), limit: int | None = None
    ) -> AsyncIterator[models.CustomerInList]:
        """Yield the customers of all pages of `limit` customers each."""
        return rows_of_pages_later(partial(self.list_customers, order=order, where=where, limit=limit))

    # --- Events and scores --------------------------------------------------------------------------------------------

    async def store_events(self, events: Iterable[NewEvent]) -> models.StoredEvents:
        """Store events, by a request for each 10,000, which stores all of them or none; they are stored on return."""
        return operations.joined_stored_events(await self._send_each(operations.store_events(events)))

    async def send_event(self, event: NewEvent) -> None:
        """Put an event into the buffer, from which it is sent within a second; see `featurehub_client.event_buffer`."""
        if self.events.would_block():
            await asyncio.to_thread(self.events.put, event)
        else:
            self.events.put(event)

    async def compute_features(
        self,
        events: Iterable[NewEvent],
        *,
        as_of: datetime | None = None,
        weights: Mapping[str, WeightChange] | None = None,
        monetary_norm: float | None = None,
    ) -> models.SimulatedFeatures:
        """Return the behavioral values that the formulas give for events of one customer; nothing is stored."""
        return await self._sender.send(
            operations.compute_features(events, as_of=as_of, weights=weights or {}, monetary_norm=monetary_norm)
        )

    async def explain_score(self, customer_id: str, *, weights: int | None = None) -> models.Explanation:
        """Return each event type's contribution to the score, under the active weight set or another one."""
        return await self._sender.send(operations.explain_score(customer_id, weights=weights))

    async def list_weight_sets(self) -> models.WeightSets:
        """Return the active weight set, and all that are or were active."""
        return await self._sender.send(operations.list_weight_sets())

    # --- The registry, and erasure ------------------------------------------------------------------------------------

    async def list_definitions(self) -> models.Definitions:
        """Return the registered features."""
        return await self._sender.send(operations.list_definitions())

    async def list_feature_sets(self, name: str | None = None) -> list[models.FeatureSet]:
        """Return all feature sets, or those of a name, the newest number first."""
        return (await self._sender.send(operations.list_feature_sets(name))).results

    async def get_feature_set(self, written: str) -> models.FeatureSet:
        """Return a feature set, such as `churn_model:3`."""
        return await self._sender.send(operations.get_feature_set(written))

    async def make_feature_set(
        self, name: str, names: Sequence[str], *, versions: Sequence[str] = (), reason: str = ""
    ) -> models.FeatureSet:
        """Make the next set of a name, and return it; or the newest one, if that is the same."""
        return await self._sender.send(operations.make_feature_set(name, names, versions=versions, reason=reason))

    async def erase_customer(self, customer_id: str) -> models.ErasureReceipt:
        """Erase a customer everywhere, and return the receipt."""
        return await self._sender.send(operations.erase_customer(customer_id))

    # --- Several requests ---------------------------------------------------------------------------------------------

    async def _read_one(self, customer_id: str, selection: Selection) -> models.FeatureValues:
        return await self._sender.send(operations.get_customer_features(customer_id, selection))

    async def _read_many(self, customer_ids: Iterable[str], selection: Selection) -> list[models.FeatureValues]:
        return operations.joined_values(
            await self._send_each(operations.get_features_of_customers(customer_ids, selection))
        )

    def _store(self, events: list[msgspec.Raw]) -> models.StoredEvents:
        answers = [self._event_sender.send(request) for request in operations.store_events(events)]
        return operations.joined_stored_events(answers)

    async def _send_each(self, requests: Iterable[operations.Operation[T]]) -> list[T]:
        return [await self._sender.send(request) for request in requests]
