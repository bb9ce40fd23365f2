"""Read and write feature values: for the API, the admin, and code of the same Django project, with no HTTP between."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async

from features.materialization import client_values
from features.models import CustomerFeature, FeatureType
from features.offline.history import history_of
from features.serving.read_path import read_rows
from features.serving.read_plan import plan_read
from features.serving.render import Values, render_json, render_values
from features.serving.usage import note_read


def get_feature_values(
    customer_ids: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    versions: Sequence[str] = (),
    with_metadata: bool = False,
) -> list[Values]:
    """Return the named (or all) values of each customer, in the order asked: one round trip where all are cached.

    `versions` pins types to versions (`behavioral:1.0`); the others are live. With Redis away, or without the customer
    in it, PostgreSQL answers and Redis is refilled. Raises UnknownError for a version that can't be read.
    """
    plan = plan_read(names, versions=versions, with_metadata=with_metadata)
    return [
        render_values(customer_id, row=row, plan=plan, source=source)
        for customer_id, row, source in read_rows(customer_ids, plan)
    ]


def values_as_json(
    customer_ids: Sequence[str], *, names: Sequence[str] | None, versions: Sequence[str], key_id: int
) -> list[bytes]:
    """Return what `get_feature_values` gives, a JSON object for each customer; note what the API key has read."""
    plan = plan_read(names, versions=versions)
    note_read(key_id, plan.versions)
    return render_json(read_rows(customer_ids, plan), plan)


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
