"""The read path: Redis first, PostgreSQL when Redis has nothing or is away, refilled after.

`FeatureStore` is the whole store for code of the same Django project, with no HTTP in between.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from asgiref.sync import sync_to_async

from features import client_values, store
from features.history import history_of
from features.models import CustomerFeature, FeatureType
from features.publishing import current_values
from features.reading import Row
from features.registry import Registry, registry, versions_of

logger = logging.getLogger(__name__)

UNKNOWN, NO_VALUE = "unknown", "no_value"


@dataclass(slots=True)
class Values:
    """The answer to a read. `missing` gives the reason for each name that is 0.0 because it has no value."""

    customer_id: str
    versions: Mapping[str, str]
    features: Mapping[str, float]
    missing: Mapping[str, str]
    computed_at: datetime | None
    source: str
    metadata: Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every customer of a read, and where it stands in a row of Redis.

    `names` in the order asked; of them the `registered` ones, name → type; `versions`, type → live version. A row has
    each type's stamp, which ends in the version (`endings`), then each type's metadata where it was asked for, and
    the registered names' values from `values_at` on.
    """

    names: tuple[str, ...]
    registered: Mapping[str, str]
    versions: Mapping[str, str]
    endings: tuple[bytes, ...]
    values_at: int
    fields: tuple[str, ...]


def get_feature_values(
    customer_ids: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    with_metadata: bool = False,
) -> list[Values]:
    """The named (or all live) values of each customer, in the order asked: one round trip where all are cached.

    `versions` pins types to versions (`behavioral:1.0`); raises UnknownError for one that can't be read. With
    Redis away or without a customer, PostgreSQL answers and Redis is refilled.
    """
    known = registry.get()
    versions_of((), pins=versions, known=known)
    question = ask(tuple(known.types if names is None else names), known=known, with_metadata=with_metadata)
    cached = list(zip(customer_ids, read_cached(customer_ids, question.fields), strict=True))
    lacking = [customer_id for customer_id, row in cached if not is_current(row, endings=question.endings)]
    stored = read_through(lacking, question.fields) if lacking else {}
    return [
        answer(customer_id, row=stored[customer_id], question=question, source="database")
        if customer_id in stored
        else answer(customer_id, row=row, question=question, source="cache")
        for customer_id, row in cached
    ]


@lru_cache(maxsize=256)
def ask(names: tuple[str, ...], *, known: Registry, with_metadata: bool) -> Question:
    """Names as Redis fields. Clients ask the same again and again, so the last questions are kept."""
    registered = {name: known.types[name] for name in names if name in known.types}
    versions = {name: known.live[name] for name in dict.fromkeys(registered.values()) if name in known.live}
    head = [f"_{name}" for name in versions]
    if with_metadata:
        head += [f"_{name}:metadata" for name in versions]
    return Question(
        names=names,
        registered=registered,
        versions=versions,
        endings=tuple(store.stamp_ending(version) for version in versions.values()),
        values_at=len(head),
        fields=(*head, *registered),
    )


def read_cached(customer_ids: Sequence[str], fields: tuple[str, ...]) -> Sequence[Row]:
    """Redis' rows; rows of None where it is away or nothing registered was asked for."""
    nothing: Sequence[Row] = [[None] * len(fields)] * len(customer_ids)
    if not fields:
        return nothing
    try:
        return store.read(customer_ids, fields)
    except store.AWAY as error:
        logger.warning("Redis is away, PostgreSQL answers: %s", error)
        return nothing


def is_current(row: Row, *, endings: Sequence[bytes]) -> bool:
    """Whether Redis knows: each type's stamp is there, and of the live version or empty."""
    for stamp, ending in zip(row, endings, strict=False):
        if stamp is None or (stamp and not stamp.endswith(ending)):
            return False
    return True


def read_through(customer_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Row]:
    """The customers' values from PostgreSQL as rows of Redis, put into Redis on the way where it is there."""
    values = current_values(list(dict.fromkeys(customer_ids)))
    try:
        store.publish(values)
    except store.AWAY as error:
        logger.warning("Redis was not refilled: %s", error)
    return {customer_id: store.as_row(published, fields) for customer_id, published in values.items()}


def answer(customer_id: str, *, row: Row, question: Question, source: str) -> Values:
    """A row's values in the order asked, zeros and reasons for the names that have none, and the oldest moment."""
    texts = row[question.values_at :]
    if None in texts or len(texts) < len(question.names):
        return incomplete_answer(customer_id, row=row, question=question, source=source)
    # One pass of a JSON parser is five times as fast as float() for each.
    features = dict(zip(question.registered, orjson.loads(b"[%b]" % b",".join(texts)), strict=True))  # type: ignore[arg-type]
    computed_at = store.oldest_moment(row[: len(question.versions)])
    return Values(customer_id, question.versions, features, {}, computed_at, source, metadata_in(row, question))


def incomplete_answer(customer_id: str, *, row: Row, question: Question, source: str) -> Values:
    """The answer where a name is not registered, asked for twice or without a value."""
    registered = question.registered
    texts = zip(registered, row[question.values_at :], strict=True)
    values: dict[str, float] = {name: orjson.loads(text) for name, text in texts if text is not None}
    given = {registered[name] for name in values}
    stamps = [stamp for feature_type, stamp in zip(question.versions, row, strict=False) if feature_type in given]
    return Values(
        customer_id,
        question.versions,
        {name: values.get(name, 0.0) for name in question.names},
        {name: NO_VALUE if name in registered else UNKNOWN for name in question.names if name not in values},
        store.oldest_moment(stamps),
        source,
        metadata_in(row, question),
    )


def metadata_in(row: Row, question: Question) -> dict[str, dict[str, Any]]:
    """Feature type → metadata, of the types that have values; empty where it was not asked for."""
    types = len(question.versions)
    if types == question.values_at:
        return {}
    held = zip(question.versions, row, row[types : question.values_at], strict=False)
    return {feature_type: orjson.loads(text) for feature_type, stamp, text in held if stamp and text}


def get_feature_vector(customer_id: str) -> dict[str, Any]:
    """Every live value of a customer as one CustomerFeature; `timestamp` is the oldest value's."""
    values = get_feature_values([customer_id], with_metadata=True)[0]
    # The behavioral metadata last: what a client writes beside its values must not hide the weight set.
    metadata = sorted(values.metadata.items(), key=lambda part: part[0] == FeatureType.BEHAVIORAL)
    return {
        "customer_id": customer_id,
        "features": values.features,
        "timestamp": values.computed_at,
        "feature_type": "vector",
        "version": values.versions.get(FeatureType.BEHAVIORAL, ""),
        "metadata": {key: value for _, part in metadata for key, value in part.items()},
        "versions": values.versions,
        "missing": values.missing,
        "source": values.source,
    }


class FeatureStore:
    """The feature store in process. Methods raise what `featurehub.errors` has; nothing here is kept between calls.

    Each has an asynchronous twin with an `a` before its name, as Django's ORM has them: it runs in the thread that
    Django keeps for this (`sync_to_async`), because most of them can need PostgreSQL, and Django's connections to it
    are not asynchronous.
    """

    def get_customer_features(
        self, customer_id: str, names: Sequence[str] | None = None, *, versions: Sequence[str] = ()
    ) -> Values:
        """The named (or all live) values of a customer; nobody has heard of them: zeros, with the reasons."""
        return get_feature_values([customer_id], names=names, versions=versions)[0]

    def get_features_of_customers(
        self, customer_ids: Sequence[str], names: Sequence[str] | None = None, *, versions: Sequence[str] = ()
    ) -> list[Values]:
        """The same of many customers in the order asked, in one round trip to Redis."""
        return get_feature_values(customer_ids, names=names, versions=versions)

    def set_customer_features(
        self,
        customer_id: str,
        features: Mapping[str, float],
        *,
        feature_type: str,
        version: str,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> dict[str, Any]:
        """Sets the named values, keeps the others and returns the CustomerFeature; see `client_values`."""
        return client_values.set_customer_features(
            customer_id,
            feature_type=feature_type,
            version=version,
            features=features,
            metadata=metadata,
            timestamp=timestamp,
        )

    def get_feature_history(
        self,
        customer_id: str,
        name: str,
        *,
        version: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[CustomerFeature]:
        """The newest `limit` rows that hold the feature, newest first; `since` ≤ timestamp ≤ `until`."""
        return list(history_of(customer_id, name=name, version=version, since=since, until=until)[:limit])

    def get_feature_vector(self, customer_id: str) -> dict[str, Any]:
        """Every live value of a customer as one CustomerFeature."""
        return get_feature_vector(customer_id)

    aget_customer_features = sync_to_async(get_customer_features)
    aget_features_of_customers = sync_to_async(get_features_of_customers)
    aset_customer_features = sync_to_async(set_customer_features)
    aget_feature_history = sync_to_async(get_feature_history)
    aget_feature_vector = sync_to_async(get_feature_vector)
