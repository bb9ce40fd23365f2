"""Values that clients write: merged over what holds, appended if they changed, published after the commit.

One customer's values, those of a batch and those of a file (`features.imports`) are written by one statement.
"""

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from events.tombstones import ErasedError, erased_among, refuse_erased
from featurehub.lib.batched import batched
from featurehub.lib.errors import InvalidError, UnknownError
from featurehub.lib.humanize import listed
from featurehub.lib.redis_away import REDIS_AWAY
from features.formulas.view import FeatureView
from features.materialization.locks import database_now, lock_writers, register_customers
from features.materialization.pipeline import Claim, publish_claimed
from features.models.definitions import WRITTEN_BY_CLIENTS, FeatureType
from features.offline import history
from features.offline.written import SENT_ROWS, WrittenRow, append_written, sent_rows
from features.online.outbox import announce
from features.online.publish import PUBLISHED_PER_CHUNK
from features.online.trust import trust
from features.registry.contents import Registry
from features.registry.list_layout import Source, list_layout
from features.registry.snapshot import found_in_registry

logger = logging.getLogger(__name__)
# Refusals that may be out of date: an operator may have added the version or the name a moment ago.
PERHAPS_OUT_OF_DATE = (UnknownError, InvalidError)
MARK_WRITTEN = "insert into events_dirtycustomer (customer_id, due_at) select unnest(%s::text[]), %s"


def set_customer_features(
    customer_id: str,
    *,
    feature_type: str,
    version: str,
    features: Mapping[str, float],
    metadata: Mapping[str, Any] | None = None,
    timestamp: datetime | None = None,
) -> dict[str, Any]:
    """Set the named values, keep the others that hold at `timestamp` (None: now), and return the CustomerFeature.

    An earlier moment corrects the history and leaves newer rows as they are; one ahead of PostgreSQL's clock is taken
    as now. Raises InvalidError for a type, name or value that can't be written or a customer who was erased,
    UnknownError for an unknown version.
    """

    def check(known: Registry) -> Registry:
        check_features(features, view=writable_view(feature_type, version=version, known=known), known=known)
        return known

    known = found_in_registry(check, refusals=PERHAPS_OUT_OF_DATE)
    row = WrittenRow(customer_id, features, timestamp, metadata)
    with transaction.atomic():
        now = claim_writers([customer_id], feature_type=feature_type)
        append_and_announce([row], feature_type=feature_type, version=version, now=now, known=known)
        as_of = min(timestamp or now, now)
        (held,) = history.latest([customer_id], versions=[(feature_type, version)], as_of=as_of)
    return {
        "customer_id": customer_id,
        "feature_type": feature_type,
        "version": version,
        "timestamp": as_of,
        "features": held.features,
        "metadata": held.metadata,
    }


def set_features_of_customers(rows: Sequence[WrittenRow], *, feature_type: str, version: str) -> int:
    """Set the values of many rows as `set_customer_features` sets those of one, all or none of them.

    A customer may have several rows; of equal moments the later row wins. Return the number of history rows that were
    appended. Raises as `set_customer_features` does, with `attr` `rows.N.…`.
    """

    def check(known: Registry) -> Registry:
        view = writable_view(feature_type, version=version, known=known)
        for position, row in enumerate(rows):
            try:
                check_features(row.features, view=view, known=known)
            except InvalidError as error:
                error.attr = f"rows.{position}.{error.attr}"
                raise
        return known

    known = found_in_registry(check, refusals=PERHAPS_OUT_OF_DATE)
    customer_ids = sorted({row.customer_id for row in rows})
    with transaction.atomic():
        try:
            now = claim_writers(customer_ids, feature_type=feature_type)
        except ErasedError as error:
            first = next(position for position, row in enumerate(rows) if row.customer_id in error.customer_ids)
            error.attr = f"rows.{first}.customer_id"
            raise
        return append_and_announce(rows, feature_type=feature_type, version=version, now=now, known=known)


def claim_writers(customer_ids: Sequence[str], *, feature_type: str) -> datetime:
    """Keep other writers of these customers out until the transaction ends. Return the moment that is now.

    Raise ErasedError if one of them was erased.
    """
    lock_writers(customer_ids, feature_type=feature_type)
    refuse_erased(erased_among(customer_ids))
    register_customers(customer_ids)
    return database_now()


def append_and_announce(
    rows: Sequence[WrittenRow], *, feature_type: str, version: str, now: datetime, known: Registry
) -> int:
    """Append the rows, mark customers who have to be computed, and publish all of them after the commit.

    Return the number of history rows that were appended.
    """
    customer_ids = sorted({row.customer_id for row in rows})
    appended = append_written(
        SENT_ROWS,
        sent_rows(rows),
        is_one_each=len(customer_ids) == len(rows),
        feature_type=feature_type,
        version=version,
        now=now,
    )
    names = {name for row in rows for name in row.features}
    if is_computed_from(names, feature_type=feature_type, version=version, known=known):
        mark_customers(appended.customer_ids, due_at=now)
    for chunk in batched(customer_ids, PUBLISHED_PER_CHUNK):
        transaction.on_commit(partial(publish_after_commit, chunk, announce(chunk)))
    return appended.number


def mark_customers(customer_ids: Sequence[str], *, due_at: datetime) -> None:
    """Have the customers computed, in the caller's transaction."""
    if customer_ids:
        with connection.cursor() as cursor:
            cursor.execute(MARK_WRITTEN, [list(customer_ids), due_at])


def writable_view(feature_type: str, *, version: str, known: Registry) -> FeatureView:
    """Return the version. Raise InvalidError for a type that clients don't write, UnknownError for another version."""
    if feature_type not in WRITTEN_BY_CLIENTS:
        is_known = feature_type in FeatureType.values
        why = f"{feature_type} values are computed" if is_known else f"There is no feature type {feature_type!r}"
        raise InvalidError(f"{why}; clients write {' and '.join(WRITTEN_BY_CLIENTS)}.", attr="feature_type")
    return known.view(feature_type, version)


def check_features(features: Mapping[str, float], *, view: FeatureView, known: Registry) -> None:
    """Raise InvalidError for a name that the version does not have, or a value out of range."""
    for name, value in features.items():
        if name not in view.names:
            raise unregistered(name, view=view)
        check_value(name, value=value, bounds=known.definitions[name].bounds)


def unregistered(name: str, *, view: FeatureView) -> InvalidError:
    """Return the error for a name that the version does not have."""
    version = f"{view.feature_type}:{view.number}"
    return InvalidError(
        f"{name} is not registered in {version}, which has {listed(view.names)}.", attr=f"features.{name}"
    )


def is_computed_from(names: Collection[str], *, feature_type: str, version: str, known: Registry) -> bool:
    """Return whether derived values, or the places of customer lists, are computed from one of the names."""
    return is_read_by_expressions(names, known=known) or is_listed(
        (*names, ""), feature_type=feature_type, version=version, known=known
    )


def is_read_by_expressions(names: Iterable[str], *, known: Registry) -> bool:
    """Return whether derived values are computed from one of the names, and so have to be computed again."""
    return any(not view.reads.isdisjoint(names) for view in known.derived)


def is_listed(names: Iterable[str], *, feature_type: str, version: str, known: Registry) -> bool:
    """Return whether customer lists hold one of the version's names, which the next computation writes there.

    The empty name stands for the moment of the version's row, which every write changes.
    """
    places = list_layout(known).places
    return any(Source(feature_type, version, name) in places for name in names)


def check_value(name: str, *, value: float, bounds: tuple[float | None, float | None]) -> None:
    """Raise InvalidError for a value that is not finite or outside `bounds`: (minimum, maximum), None for no bound."""
    minimum, maximum = bounds
    if not math.isfinite(value):
        raise InvalidError("The value must be a finite number.", attr=f"features.{name}")
    if minimum is not None and value < minimum:
        raise InvalidError(f"{name} is at least {minimum:g}.", attr=f"features.{name}")
    if maximum is not None and value > maximum:
        raise InvalidError(f"{name} is at most {maximum:g}.", attr=f"features.{name}")


def publish_after_commit(customer_ids: Sequence[str], entry: int | None) -> None:
    """Publish and settle. Where Redis is away the outbox entry stays, and the sweep publishes later.

    The client is told that its values are stored when nobody reads the older ones any more: at the first failure, that
    is half a second later.
    """
    try:
        try:
            publish_claimed(Claim(customer_ids=customer_ids), entry)
        except REDIS_AWAY:
            if not trust.wait_for_its_end():
                raise
            publish_claimed(Claim(customer_ids=customer_ids), entry)
    except REDIS_AWAY as error:
        logger.warning("Values that a client wrote are not published yet, the sweep will do it: %s", error)
