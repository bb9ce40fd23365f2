"""Load values into Feast, in Feast's environment: `load.py REPOSITORY VALUES.parquet`.

The five features are one view. The 250 synthetic ones are in views of ten, as in Feast's own published benchmark. The
feature services of 50 and of all 250 are precomputed: a vector for each customer.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

FIVE = ["engagement_score", "page_views_30d", "purchases_30d", "conversion_rate", "recency_score"]


def main() -> None:
    """Apply the feature views and services, and write the values to the online store."""
    repository, values = sys.argv[1:]
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    source = FileSource(name="values", path=values, timestamp_field="event_timestamp")
    frame = pd.read_parquet(values).assign(event_timestamp=datetime.now(UTC))
    synthetic = sorted(name for name in frame.columns if name.startswith("synthetic_"))
    names = {"five": FIVE, **{f"tens_{i // 10:02d}": synthetic[i : i + 10] for i in range(0, len(synthetic), 10)}}
    views = [
        FeatureView(name=view, entities=[customer], schema=[Field(name=each, dtype=Float64) for each in fields],
                    source=source, online=True)
        for view, fields in names.items()
    ]  # fmt: skip
    services = [
        FeatureService(name=f"precomputed_{10 * n}", features=views[1 : n + 1], precompute_online=True)
        for n in (5, 25)
        if n < len(views)
    ]
    store = FeatureStore(repo_path=Path(repository))
    store.apply([customer, source, *views, *services])
    for view, fields in names.items():
        store.write_to_online_store(view, frame[["customer_id", "event_timestamp", *fields]])
    for service in services:
        store.precompute_feature_service(service.name)


if __name__ == "__main__":
    main()
