"""Read and write feature values without HTTP: for the API, the admin, and code of the same Django project."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from asgiref.sync import sync_to_async
from django.utils import timezone

from features.materialization import client_values
from features.models import CustomerFeature, FeatureType
from features.offline.entity_rows import ACTIVE, parse_entity_rows
from features.offline.event_training_set import training_table
from features.offline.history import history_of
from features.offline.written import WrittenRow
from features.registry.feature_sets import Selection
from features.serving.read_path import read_rows
from features.serving.read_plan import plan_read
from features.serving.render import Values, render_json, render_values
from features.serving.usage import note_read


def get_feature_values(
    customer_ids: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    feature_set: str | None = None,
    with_metadata: bool = False,
) -> list[Values]:
    """Return the named (or all) values of each customer, in the order asked: one round trip where all are cached.

    `versions` pins types to versions (`behavioral:1.0`); the others are live. `feature_set` (`churn_model:3`) takes the
    place of both. With Redis away, or without the customer in it, PostgreSQL answers and Redis is refilled. Raises
    UnknownError for a version or set that can't be read, InvalidError for a set beside names or versions.
    """
    asked = Selection.of(names, versions=versions, feature_set=feature_set)
    plan = plan_read(asked, with_metadata=with_metadata)
    return [
        render_values(customer_id, row=row, plan=plan, source=source)
        for customer_id, row, source in read_rows(customer_ids, plan)
    ]


def values_as_json(customer_ids: Sequence[str], asked: Selection, *, key_id: int) -> list[bytes]:
    """Return the same values as JSON, an object for each customer, and note what the API key has read."""
    plan = plan_read(asked)
    note_read(key_id, plan.versions, feature_set=plan.feature_set)
    return render_json(read_rows(customer_ids, plan), plan)


def get_feature_vector(customer_id: str) -> dict[str, Any]:
    """Return every live value of a customer as one CustomerFeature; `timestamp` is that of the oldest value."""
    values = get_feature_values([customer_id], with_metadata=True)[0]
    # The behavioral metadata comes last, so that metadata that a client wrote can't replace the weight set.
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
    """The feature store in process. It keeps nothing between calls; its errors are those of `featurehub.lib.errors`.

    Each method has an asynchronous twin with the prefix `a`, as in Django's ORM. The twin runs the method in the thread
    of `sync_to_async`: most of them may need PostgreSQL, and Django's connections to it are synchronous.
    """

    def get_customer_features(
        self,
        customer_id: str,
        names: Sequence[str] | None = None,
        *,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
    ) -> Values:
        """Return the named (or all live) values of a customer; `missing` gives the reason for each default in them.

        `feature_set` (`churn_model:3`) takes the place of names and versions.
        """
        return get_feature_values([customer_id], names=names, versions=versions, feature_set=feature_set)[0]

    def get_features_of_customers(
        self,
        customer_ids: Sequence[str],
        names: Sequence[str] | None = None,
        *,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
    ) -> list[Values]:
        """Return the values of many customers in the order asked, in one round trip to Redis."""
        return get_feature_values(customer_ids, names=names, versions=versions, feature_set=feature_set)

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
        """Set the named values, keep the others, and return the CustomerFeature; see `client_values`."""
        return client_values.set_customer_features(
            customer_id,
            feature_type=feature_type,
            version=version,
            features=features,
            metadata=metadata,
            timestamp=timestamp,
        )

    def set_features_of_customers(self, rows: Sequence[WrittenRow], *, feature_type: str, version: str) -> int:
        """Set the values of many rows, all or none of them. Return how many rows the history grew by."""
        return client_values.set_features_of_customers(rows, feature_type=feature_type, version=version)

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
        """Return the newest `limit` rows that hold the feature, newest first; `since` ≤ timestamp ≤ `until`."""
        return list(history_of(customer_id, name=name, version=version, since=since, until=until)[:limit])

    def get_feature_vector(self, customer_id: str) -> dict[str, Any]:
        """Return every live value of a customer as one CustomerFeature."""
        return get_feature_vector(customer_id)

    def get_training_set(
        self,
        names: Sequence[str] | None = None,
        *,
        since: datetime,
        until: datetime,
        every: str,
        customers: str = ACTIVE,
        label: str | None = None,
        versions: Sequence[str] = (),
        feature_set: str | None = None,
        known_at: datetime | None = None,
    ) -> pa.Table:
        """Return customers × moments with the values that held then, as `manage.py build_training_set --every` does.

        Moments are since, since + `every` ("7d"), … up to `until`. `customers` are "active", those with an event in the
        WINDOW_DAYS before the moment, or "all" with an event before it. `label` ("purchase within 14d") is 1 where such
        an event lies in (moment, moment + 14d], else 0; rows for which that is not known yet are left out, and counted
        in the metadata of the schema (`featurehub.left_out`). A missing value is null. Raises InvalidError and
        UnknownError before any work.
        """
        rows = parse_entity_rows(
            since=since, until=until, every=every, customers=customers, label=label, now=timezone.now()
        )
        return training_table(rows, names=names, versions=versions, feature_set=feature_set, known_at=known_at)

    aget_customer_features = sync_to_async(get_customer_features)
    aget_features_of_customers = sync_to_async(get_features_of_customers)
    aset_customer_features = sync_to_async(set_customer_features)
    aset_features_of_customers = sync_to_async(set_features_of_customers)
    aget_feature_history = sync_to_async(get_feature_history)
    aget_feature_vector = sync_to_async(get_feature_vector)
    aget_training_set = sync_to_async(get_training_set)
