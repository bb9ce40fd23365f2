"""Values that clients write: merged over the newest row, appended if they changed, published after the commit."""

import logging
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from events.models import DirtyCustomer
from events.tombstones import erased_among, refuse_erased
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import listed
from featurehub.lib.redis_away import REDIS_AWAY
from features.materialization.locks import database_now, lock_writers, register_customers
from features.materialization.pipeline import Claim, publish_claimed
from features.models.definitions import WRITTEN_BY_CLIENTS, FeatureType
from features.offline import history
from features.online.outbox import announce
from features.online.trust import trust
from features.registry.contents import Registry
from features.registry.list_layout import Source, list_layout
from features.registry.snapshot import registry_snapshot

logger = logging.getLogger(__name__)


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
    known = registry_snapshot.get()
    check_writable(feature_type, version=version, features=features, known=known)
    with transaction.atomic():
        lock_writers(customer_id, feature_type=feature_type)
        refuse_erased(erased_among([customer_id]))
        register_customers([customer_id])
        now = database_now()
        as_of = min(timestamp or now, now)
        held = history.latest([customer_id], versions=[(feature_type, version)], as_of=as_of)
        row = {
            "features": {**(held[0].features if held else {}), **features},
            "metadata": {**(held[0].metadata if held else {}), **(metadata or {})},
        }
        history.append_changed(
            [customer_id],
            feature_type=feature_type,
            version=version,
            as_of=as_of,
            features=[row["features"]],
            metadata=[row["metadata"]],
        )
        if is_read_by_expressions(features, known=known) or is_listed(
            (*features, ""), feature_type=feature_type, version=version, known=known
        ):
            DirtyCustomer.objects.create(customer_id=customer_id, due_at=now)
        transaction.on_commit(partial(publish_after_commit, customer_id, announce([customer_id])))
    return {"customer_id": customer_id, "feature_type": feature_type, "version": version, "timestamp": as_of, **row}


def check_writable(feature_type: str, *, version: str, features: Mapping[str, float], known: Registry) -> None:
    """Raise InvalidError for a computed type, an unregistered name or a value out of range.

    Raises UnknownError for an unknown version.
    """
    if feature_type not in WRITTEN_BY_CLIENTS:
        is_known = feature_type in FeatureType.values
        why = f"{feature_type} values are computed" if is_known else f"There is no feature type {feature_type!r}"
        raise InvalidError(f"{why}; clients write {' and '.join(WRITTEN_BY_CLIENTS)}.", attr="feature_type")
    view = known.view(feature_type, version)
    for name, value in features.items():
        if name not in view.names:
            detail = f"{name} is not registered in {feature_type}:{version}, which has {listed(view.names)}."
            raise InvalidError(detail, attr=f"features.{name}")
        check_value(name, value=value, bounds=known.definitions[name].bounds)


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


def publish_after_commit(customer_id: str, entry: int | None) -> None:
    """Publish and settle. Where Redis is away the outbox entry stays, and the sweep publishes later.

    The client is told that its values are stored when nobody reads the older ones any more: at the first failure, that
    is half a second later.
    """
    try:
        try:
            publish_claimed(Claim(customer_ids=[customer_id]), entry)
        except REDIS_AWAY:
            if not trust.wait_for_its_end():
                raise
            publish_claimed(Claim(customer_ids=[customer_id]), entry)
    except REDIS_AWAY as error:
        logger.warning("Values that a client wrote are not published yet, the sweep will do it: %s", error)
