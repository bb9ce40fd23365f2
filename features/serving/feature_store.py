"""The read path: Redis first, PostgreSQL when Redis has nothing or is away, refilled after.

`FeatureStore` is the whole store for code of the same Django project, with no HTTP in between.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import orjson
from asgiref.sync import sync_to_async

from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization import client_values
from features.models import CustomerFeature, FeatureType
from features.offline.history import history_of
from features.online import store
from features.online.hmget import Row
from features.online.layout import suffix_of
from features.online.publish import current_values
from features.online.store import Hash
from features.registry.snapshot import registry_snapshot
from features.serving.read_plan import ReadPlan, plan_read

logger = logging.getLogger(__name__)

UNKNOWN, NO_VALUE, EXPIRED = "unknown", "no_value", "expired"
CACHE, DATABASE = "cache", "database"


@dataclass(slots=True)
class Values:
    """The answer to a read. `missing` gives the reason for each name that has its default because it has no value."""

    customer_id: str
    versions: Mapping[str, str]
    features: Mapping[str, float]
    missing: Mapping[str, str]
    computed_at: datetime | None
    source: str
    metadata: Mapping[str, dict[str, Any]]


def get_feature_values(
    customer_ids: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    with_metadata: bool = False,
) -> list[Values]:
    """The named (or all) values of each customer, in the order asked: one round trip where all are cached.

    `versions` pins types to versions (`behavioral:1.0`), the others are live; raises UnknownError for one that can't be
    read. With Redis away or without a customer, PostgreSQL answers and Redis is refilled.
    """
    question = question_of(names, versions=versions, with_metadata=with_metadata)
    return [
        answer(customer_id, row=row, question=question, source=source)
        for customer_id, row, source in find(customer_ids, question)
    ]


def question_of(names: Sequence[str] | None, *, versions: Sequence[str] = (), with_metadata: bool = False) -> ReadPlan:
    """What `get_feature_values` is asked, in terms of Redis. Raises UnknownError for a version that can't be read."""
    pins, known = tuple(versions), registry_snapshot.get()
    return plan_read(None if names is None else tuple(names), pins=pins, known=known, metadata=with_metadata)


def find(customer_ids: Sequence[str], question: ReadPlan) -> Iterable[tuple[str, Row, str]]:
    """(customer_id, row, source) of each customer in the order asked."""
    rows = read_cached(customer_ids, question, suffixes=question.suffixes)
    if are_current(rows, endings=question.endings):
        return zip(customer_ids, rows, repeat(CACHE))
    lacking = {
        customer_id: row
        for customer_id, row in zip(customer_ids, rows, strict=True)
        if not is_current(row, endings=question.endings)
    }
    if lacking and question.is_switching:
        lacking = read_from_before_the_switch(lacking, question)
    stored = read_through(list(lacking), question) if lacking else {}
    return [
        (customer_id, stored[customer_id], DATABASE) if customer_id in stored else (customer_id, row, CACHE)
        for customer_id, row in zip(customer_ids, rows, strict=True)
    ]


def read_cached(customer_ids: Sequence[str], question: ReadPlan, *, suffixes: Mapping[str, str]) -> Sequence[Row]:
    """Redis' rows, of each type from the hash with its suffix: a round trip a hash; rows of None where Redis is away
    or nothing registered was asked for."""
    fields = question.fields
    hashes = set(suffixes.values())
    try:
        if len(hashes) == 1:
            return store.read_hashes(customer_ids, fields, suffix=hashes.pop())
        rows: list[Row] = [[None] * len(fields) for _ in customer_ids]
        for suffix in hashes:
            places = [n for n, feature_type in enumerate(question.types) if suffixes[feature_type] == suffix]
            for row, part in zip(
                rows, store.read_hashes(customer_ids, [fields[n] for n in places], suffix=suffix), strict=True
            ):
                for n, text in zip(places, part, strict=True):
                    row[n] = text
        return rows
    except REDIS_AWAY as error:
        logger.warning("Redis is away, PostgreSQL answers: %s", error)
        return [[None] * len(fields)] * len(customer_ids)


def are_current(rows: Sequence[Row], *, endings: Sequence[bytes]) -> bool:
    """`is_current` of every row, four times as fast: each type's stamps end in one of few ways."""
    return all(
        {stamp and stamp[store.ENDING] for stamp in (row[place] for row in rows)} <= {ending, b""}
        for place, ending in enumerate(endings)
    )


def is_current(row: Row, *, endings: Sequence[bytes]) -> bool:
    """Whether Redis knows: each type's stamp is there, and of the version asked for or empty."""
    for stamp, ending in zip(row, endings, strict=False):
        if stamp is None or (stamp and not stamp.endswith(ending)):
            return False
    return True


def read_from_before_the_switch(lacking: dict[str, Row], question: ReadPlan) -> dict[str, Row]:
    """Completes rows after a version has gone live, until everybody was published again: what is live now may still be
    in the hash of its own, and what was live until now in the live one. Returns the customers that still lack values.
    """
    views = zip(question.versions.items(), question.suffixes.values(), strict=True)
    elsewhere = {name: suffix_of(name, number) if suffix == "" else "" for (name, number), suffix in views}
    others = read_cached(list(lacking), question, suffixes=elsewhere)
    for row, other in zip(lacking.values(), others, strict=True):
        for n, (feature_type, ending) in enumerate(zip(question.versions, question.endings, strict=True)):
            if not is_current(row[n : n + 1], endings=[ending]) and is_current(other[n : n + 1], endings=[ending]):
                for place, type_there in enumerate(question.types):
                    if type_there == feature_type:
                        row[place] = other[place]
    return {customer_id: row for customer_id, row in lacking.items() if not is_current(row, endings=question.endings)}


def read_through(customer_ids: Sequence[str], question: ReadPlan) -> dict[str, Row]:
    """The customers' values from PostgreSQL as rows of Redis, put into Redis on the way where it is there."""
    values = current_values(customer_ids)
    try:
        store.write_hashes(values)
    except REDIS_AWAY as error:
        logger.warning("Redis was not refilled: %s", error)
    hashes = set(question.suffixes.values())
    return {
        customer_id: store.as_row(
            [
                part
                for suffix in hashes
                for part in values[Hash(customer_id, suffix)]
                if question.suffixes.get(part.feature_type) == suffix
            ],
            question.fields,
        )
        for customer_id in customer_ids
    }


def answer(customer_id: str, *, row: Row, question: ReadPlan, source: str) -> Values:
    """A row's values in the order asked, defaults and reasons for the names that have none, and the oldest moment."""
    texts = row[question.values_at :]
    if None in texts or not question.is_plain:
        return incomplete_answer(customer_id, row=row, question=question, source=source)
    # One pass of a JSON parser is five times as fast as float() for each.
    features = dict(zip(question.registered, orjson.loads(b"[%b]" % b",".join(texts)), strict=True))  # type: ignore[arg-type]
    computed_at = store.oldest_moment(row[: len(question.versions)])
    return Values(customer_id, question.versions, features, {}, computed_at, source, metadata_in(row, question))


def incomplete_answer(customer_id: str, *, row: Row, question: ReadPlan, source: str) -> Values:
    """The answer where a name is not registered, asked for twice, without a value, or may have expired."""
    registered = question.registered
    expired = expired_types(row, question, now=datetime.now(UTC)) if question.lifetimes else ()
    texts = zip(registered.items(), row[question.values_at :], strict=True)
    values: dict[str, float] = {
        name: orjson.loads(text)
        for (name, feature_type), text in texts
        if text is not None and feature_type not in expired
    }
    given = {registered[name] for name in values}
    stamps = [stamp for feature_type, stamp in zip(question.versions, row, strict=False) if feature_type in given]
    reasons = {
        name: EXPIRED if text is not None else NO_VALUE
        for name, text in zip(registered, row[question.values_at :], strict=True)
    }
    return Values(
        customer_id,
        question.versions,
        {name: values.get(name, question.defaults.get(name, 0.0)) for name in question.names},
        {name: reasons.get(name, UNKNOWN) for name in question.names if name not in values},
        store.oldest_moment(stamps),
        source,
        metadata_in(row, question),
    )


def expired_types(row: Row, question: ReadPlan, *, now: datetime) -> set[str]:
    """The types whose values are older than they live."""
    expired = set()
    for feature_type, stamp in zip(question.versions, row, strict=False):
        moment = store.oldest_moment([stamp])
        lifetime = question.lifetimes.get(feature_type)
        if lifetime is not None and moment is not None and (now - moment).total_seconds() > lifetime:
            expired.add(feature_type)
    return expired


def metadata_in(row: Row, question: ReadPlan) -> dict[str, dict[str, Any]]:
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
    """The feature store in process. Methods raise what `featurehub.lib.errors` has; nothing here is kept between calls.

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
