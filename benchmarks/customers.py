"""Customers for both stores: five values that FeatureHub computes, and up to 500 synthetic ones."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from django_redis import get_redis_connection

from featurehub.lib.clock import microseconds
from features.formulas.activity import Floats
from features.formulas.behavioral import BEHAVIORAL_FEATURES
from features.formulas.values import Columns
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.online import layout, store
from features.online.publish import texts_of
from features.online.store import PublishedHashes, PublishedVersion
from tests.reference import RFM_SCORE

CUSTOMERS = 10_000
FIVE = ("engagement_score", "page_views_30d", "purchases_30d", "conversion_rate", "recency_score")
SYNTHETIC = tuple(f"synthetic_{number:03d}" for number in range(500))
PER_PUBLISH = 1_000


def customer_id(number: int) -> str:
    """Return the id of a customer that both stores have."""
    return f"customer-{number:07d}"


def missing_id(number: int) -> str:
    """Return the id of a customer that neither store has."""
    return f"nobody-{number:07d}"


def feast_view(name: str) -> str:
    """Return the view of Feast that has the feature; the same names as in `feast_repo/load.py`."""
    return "five" if name in FIVE else f"tens_{int(name.rpartition('_')[2]) // 10:02d}"


def write_values(path: Path, *, customers: int, synthetic: int = 0) -> None:
    """Write a Parquet file with a row a customer: random doubles with all their digits, the same at every run."""
    random = np.random.default_rng(1)
    names = [*FIVE, *SYNTHETIC[:synthetic]]
    columns = {"customer_id": pa.array([customer_id(number) for number in range(customers)])}
    columns |= {name: pa.array(random.random(customers)) for name in names}
    pq.write_table(pa.table(columns), path)


def register_synthetic(count: int) -> None:
    """Define the synthetic features, as live features of type customer."""
    version = FeatureVersion.objects.get(feature_type=FeatureType.CUSTOMER, state=FeatureVersion.State.LIVE)
    names = [f"synthetic_{number:03d}" for number in range(count)]
    FeatureDefinition.objects.bulk_create(
        [FeatureDefinition(name=name, feature_type=FeatureType.CUSTOMER) for name in names], ignore_conflicts=True
    )
    version.definitions.add(*FeatureDefinition.objects.filter(name__in=names))


def load(path: Path, *, customers: int) -> None:
    """Empty Redis, write a file of so many customers, and publish it."""
    get_redis_connection("default").flushdb()
    write_values(path, customers=customers)
    publish(path)


def publish(path: Path) -> None:
    """Publish the file's values through the store, as a refresh does: every type has a stamp."""
    as_of = datetime.now(UTC)
    for batch in pq.ParquetFile(path).iter_batches(batch_size=PER_PUBLISH):
        columns = {name: np.asarray(batch.column(name)) for name in batch.schema.names if name != "customer_id"}
        customer_ids = batch.column("customer_id").to_pylist()
        store.write_hashes([PublishedHashes("", customer_ids, as_versions(customer_ids, columns, as_of=as_of))])


def as_versions(
    customer_ids: Sequence[str], columns: Mapping[str, Floats], *, as_of: datetime
) -> list[PublishedVersion]:
    """Return the customers' values of all four types, so that FeatureHub's hash is as full as in production."""
    behavioral = {name: columns.get(name, 0.5) for name in BEHAVIORAL_FEATURES}
    synthetic = {name: values for name, values in columns.items() if name.startswith("synthetic_")}
    parts = {
        FeatureType.BEHAVIORAL: behavioral,
        FeatureType.CUSTOMER: {"tenure_days": 100.0, **synthetic},
        FeatureType.CONTEXTUAL: {"cart_value": 12.5, "items_in_cart": 2.0},
        FeatureType.DERIVED: {RFM_SCORE: 0.5},
    }
    number = len(customer_ids)
    stamps = layout.stamps([microseconds(as_of)] * number, row_ids=[1] * number, version="1.0")
    versions = []
    for feature_type, values in parts.items():
        full = {name: np.full(number, held, dtype=np.float64) for name, held in values.items()}
        fields = {layout.metadata_field(feature_type): ["{}"] * number, **texts_of(Columns(customer_ids, full))}
        versions.append(PublishedVersion(feature_type, stamps, fields))
    return versions
