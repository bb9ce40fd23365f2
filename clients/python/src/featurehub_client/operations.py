"""Requests of the API as data: one function for each operation of the OpenAPI schema, sent by `featurehub_client.http`.

Functions of many rows return several operations where the rows exceed what the API takes in one request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from featurehub_client import models
from featurehub_client.sent import Entity, NewEvent, PatchedRow, Selection, WeightChange

T = TypeVar("T")
CUSTOMERS_PER_REQUEST = 1_000
ENTITIES_PER_REQUEST = 10_000
ROWS_PER_REQUEST = 10_000
EVENTS_PER_REQUEST = 10_000
# The API takes bodies of 1 MB, and of 16 MB where values and events are written; the rest is room for what is around
# the rows.
BYTES_OF_ROWS = 900_000
BYTES_OF_WRITTEN_ROWS = 15_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[T]):
    """A request, and the type of its answer.

    `query` holds (name, value) pairs. Where `is_repeatable`, sending it twice has the effect of sending it once.
    """

    method: str
    path: str
    answer: type[T]
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    is_repeatable: bool = True


# --- Values -----------------------------------------------------------------------------------------------------------


def get_customer_features(customer_id: str, selection: Selection) -> Operation[models.FeatureValues]:
    """Return the read of one customer's values."""
    names = [] if selection.names is None else [("names", ",".join(selection.names))]
    versions = [("version", version) for version in selection.versions]
    query = [*names, *versions, *given(set=selection.feature_set)]
    return Operation(method="GET", path=of_customer(customer_id, "features/"), answer=models.FeatureValues, query=query)


def get_features_of_customers(
    customer_ids: Iterable[str], selection: Selection
) -> Iterator[Operation[models.BatchOfValues]]:
    """Yield the reads of many customers' values."""
    for part in parts_of(customer_ids, most=CUSTOMERS_PER_REQUEST, most_bytes=BYTES_OF_ROWS):
        body = msgspec.json.encode({"customer_ids": part, **as_fields(selection)})
        yield Operation(method="POST", path="features/batch/", answer=models.BatchOfValues, body=body)


def set_customer_features(
    customer_id: str,
    features: Mapping[str, float],
    *,
    feature_type: str,
    version: str,
    metadata: Mapping[str, Any] | None,
    timestamp: datetime | None,
) -> Operation[models.WrittenFeatures]:
    """Return the write of one customer's values.

    Without a timestamp it is of the moment of its arrival: sent twice, it could take back what another client wrote in
    between.
    """
    fields = {"feature_type": feature_type, "version": version, "features": numbers(features)}
    body = msgspec.json.encode({**fields, **present(metadata=metadata, timestamp=timestamp)})
    return Operation(
        method="PATCH", path=of_customer(customer_id, "features/"), answer=models.WrittenFeatures, body=body,
        is_repeatable=timestamp is not None,
    )  # fmt: skip


def set_features_of_customers(
    rows: Iterable[PatchedRow], *, feature_type: str, version: str
) -> Iterator[Operation[models.WrittenRows]]:
    """Yield the writes of many customers' values; repeatable as for one customer."""
    checked = (msgspec.structs.replace(row, features=numbers(row.features)) for row in rows)
    for part in parts_of(checked, most=ROWS_PER_REQUEST, most_bytes=BYTES_OF_WRITTEN_ROWS):
        body = msgspec.json.encode({"feature_type": feature_type, "version": version, "rows": part})
        is_dated = all(b'"timestamp":' in bytes(row) for row in part)
        yield Operation(
            method="PATCH", path="features/batch/", answer=models.WrittenRows, body=body, is_repeatable=is_dated
        )


def get_feature_vector(customer_id: str) -> Operation[models.FeatureVector]:
    """Return the read of every live value of a customer."""
    return Operation(method="GET", path=of_customer(customer_id, "vector/"), answer=models.FeatureVector)


# --- History, training and lists --------------------------------------------------------------------------------------


def get_feature_history(
    customer_id: str,
    name: str,
    *,
    limit: int | None,
    cursor: str | None,
    since: datetime | None,
    until: datetime | None,
    version: str | None,
) -> Operation[models.HistoryPage]:
    """Return the read of a page of a feature's history."""
    path = of_customer(customer_id, f"features/{quote(name, safe='')}/history/")
    query = given(limit=limit, cursor=cursor, since=since, until=until, version=version)
    return Operation(method="GET", path=path, answer=models.HistoryPage, query=query)


def get_features_as_of(
    entities: Iterable[Entity], selection: Selection, *, known_at: datetime | None
) -> Iterator[Operation[models.AsOfRows]]:
    """Yield the reads of values as of moments."""
    for part in parts_of(entities, most=ENTITIES_PER_REQUEST, most_bytes=BYTES_OF_ROWS):
        body = msgspec.json.encode({"entities": part, **as_fields(selection), **present(known_at=known_at)})
        yield Operation(method="POST", path="features/as-of/", answer=models.AsOfRows, body=body)


def list_customers(
    *, order: str | None, where: Sequence[str], limit: int | None, cursor: str | None
) -> Operation[models.CustomerPage]:
    """Return the read of a page of customers."""
    conditions = [("where", condition) for condition in where]
    query = [*given(order=order), *conditions, *given(limit=limit, cursor=cursor)]
    return Operation(method="GET", path="customers/", answer=models.CustomerPage, query=query)


# --- Events and scores ------------------------------------------------------------------------------------------------


def store_events(events: Iterable[NewEvent | msgspec.Raw]) -> Iterator[Operation[models.StoredEvents]]:
    """Yield the requests that store events. Each event has an event_id, and so counts once however often it is sent."""
    for part in parts_of(events, most=EVENTS_PER_REQUEST, most_bytes=BYTES_OF_WRITTEN_ROWS):
        body = msgspec.json.encode({"events": part})
        yield Operation(method="POST", path="events/", answer=models.StoredEvents, body=body)


def compute_features(
    events: Iterable[NewEvent],
    *,
    as_of: datetime | None,
    weights: Mapping[str, WeightChange],
    monetary_norm: float | None,
) -> Operation[models.SimulatedFeatures]:
    """Return the computation of values of events that are not stored."""
    fields = present(as_of=as_of, weights=weights or None, monetary_norm=monetary_norm)
    body = msgspec.json.encode({"events": list(events), **fields})
    return Operation(method="POST", path="features/compute/", answer=models.SimulatedFeatures, body=body)


def explain_score(customer_id: str, *, weights: int | None) -> Operation[models.Explanation]:
    """Return the read of the contributions to a customer's score."""
    path = of_customer(customer_id, "explanation/")
    return Operation(method="GET", path=path, answer=models.Explanation, query=given(weights=weights))


def list_weight_sets() -> Operation[models.WeightSets]:
    """Return the read of the weight sets."""
    return Operation(method="GET", path="weights/", answer=models.WeightSets)


# --- The registry, and erasure ----------------------------------------------------------------------------------------


def list_definitions() -> Operation[models.Definitions]:
    """Return the read of the registered features."""
    return Operation(method="GET", path="definitions/", answer=models.Definitions)


def list_feature_sets(name: str | None) -> Operation[models.FeatureSets]:
    """Return the read of all feature sets, or of those of a name."""
    return Operation(method="GET", path="feature-sets/", answer=models.FeatureSets, query=given(name=name))


def get_feature_set(written: str) -> Operation[models.FeatureSet]:
    """Return the read of one feature set."""
    return Operation(method="GET", path=f"feature-sets/{quote(written, safe=':')}/", answer=models.FeatureSet)


def make_feature_set(
    name: str, names: Sequence[str], *, versions: Sequence[str], reason: str
) -> Operation[models.FeatureSet]:
    """Return the request for the next set of a name. One that equals the newest is not made again."""
    fields = present(version=list(versions) or None, reason=reason or None)
    body = msgspec.json.encode({"name": name, "names": list(names), **fields})
    return Operation(method="POST", path="feature-sets/", answer=models.FeatureSet, body=body)


def erase_customer(customer_id: str) -> Operation[models.ErasureReceipt]:
    """Return the erasure of a customer."""
    return Operation(method="DELETE", path=of_customer(customer_id, ""), answer=models.ErasureReceipt)


# --- Answers of several requests as one -------------------------------------------------------------------------------


def joined_values(answers: Iterable[models.BatchOfValues]) -> list[models.FeatureValues]:
    """Return the values of all answers."""
    return [values for answer in answers for values in answer.results]


def joined_as_of_rows(answers: Sequence[models.AsOfRows]) -> models.AsOfRows:
    """Return the rows of all answers. Without an answer there are none."""
    rows = [row for answer in answers for row in answer.results]
    if not answers:
        return models.AsOfRows(results=rows)
    return msgspec.structs.replace(answers[0], results=rows)


def joined_written_rows(answers: Iterable[models.WrittenRows]) -> models.WrittenRows:
    """Return the sums of the answers."""
    counts = [(answer.accepted, answer.appended) for answer in answers]
    return models.WrittenRows(accepted=sum(each[0] for each in counts), appended=sum(each[1] for each in counts))


def joined_stored_events(answers: Iterable[models.StoredEvents]) -> models.StoredEvents:
    """Return the sums of the answers, with refused events by their place among all that were sent."""
    accepted = duplicates = before = 0
    refused: list[models.RefusedEvent] = []
    for answer in answers:
        refused += [models.RefusedEvent(index=before + each.index, reason=each.reason) for each in answer.refused]
        accepted += answer.accepted
        duplicates += answer.duplicates
        before += answer.accepted + answer.duplicates + len(answer.refused)
    return models.StoredEvents(accepted=accepted, duplicates=duplicates, refused=refused)


# --- Parts of requests ------------------------------------------------------------------------------------------------


def of_customer(customer_id: str, rest: str) -> str:
    """Return a path below a customer's, with the id percent-encoded. An id of dots alone would leave the path."""
    encoded = quote(customer_id, safe="")
    return f"customers/{encoded.replace('.', '%2E') if not encoded.strip('.') else encoded}/{rest}"


def given(**parameters: object) -> list[tuple[str, str]]:
    """Return the query parameters that are not None, as texts."""
    return [(name, text_of(value)) for name, value in parameters.items() if value is not None]


def text_of(value: object) -> str:
    """Return a query parameter's value as text, moments in ISO 8601."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def present(**fields: object) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def as_fields(selection: Selection) -> dict[str, Any]:
    """Return a selection as the fields of a body."""
    versions = list(selection.versions) or None
    return present(names=selection.names, version=versions, set=selection.feature_set)


def numbers(features: Mapping[str, float]) -> dict[str, float]:
    """Return the values as Python's floats, such as those of NumPy.

    Raise ValueError for NaN and infinity, which JSON does not have.
    """
    values = {name: float(value) for name, value in features.items()}
    wrong = next((name for name, value in values.items() if value - value != 0), None)
    if wrong is not None:
        raise ValueError(f"{wrong} is {values[wrong]}: a value is a finite number.")
    return values


def parts_of(rows: Iterable[object], *, most: int, most_bytes: int) -> Iterator[list[msgspec.Raw]]:
    """Yield the rows as JSON, in parts of at most `most` rows and about `most_bytes` bytes."""
    part: list[msgspec.Raw] = []
    size = 0
    for row in rows:
        encoded = row if isinstance(row, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(row))
        if part and (len(part) == most or size + len(encoded) > most_bytes):
            yield part
            part, size = [], 0
        part.append(encoded)
        size += len(encoded) + 1
    if part:
        yield part
