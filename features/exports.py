"""The feature history as Parquet."""

from collections.abc import Callable
from pathlib import Path

from featurehub.lib.parquet import MOMENT, TEXT, export
from features.models import CustomerFeature

COLUMNS = {
    "customer_id": TEXT,
    "feature_type": TEXT,
    "version": TEXT,
    "timestamp": MOMENT,
    "recorded_at": MOMENT,
    "features": TEXT,
    "metadata": TEXT,
}
HISTORY = """
select customer_id, feature_type, version, "timestamp", recorded_at, features, metadata, "timestamp"::date
from features_customerfeature
"""


def export_history(to: Path, *, progress: Callable[[int], object] = lambda rows: None) -> int:
    """Writes the history to `to`/date=YYYY-MM-DD/, features and metadata as JSON. Returns how many rows."""
    to.mkdir(parents=True, exist_ok=True)
    return export(HISTORY, columns=COLUMNS, to=to, progress=progress)


def how_many() -> int:
    return CustomerFeature.objects.count()
