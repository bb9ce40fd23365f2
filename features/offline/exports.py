"""Export of the feature history as Parquet."""

from collections.abc import Callable
from pathlib import Path

from featurehub.lib.arrow_csv import MOMENT_TYPE, TEXT_TYPE
from featurehub.lib.parquet import export
from features.models import CustomerFeature

HISTORY_COLUMNS = {
    "customer_id": TEXT_TYPE,
    "feature_type": TEXT_TYPE,
    "version": TEXT_TYPE,
    "timestamp": MOMENT_TYPE,
    "recorded_at": MOMENT_TYPE,
    "features": TEXT_TYPE,
    "metadata": TEXT_TYPE,
}
SELECT_HISTORY = """
select customer_id, feature_type, version, "timestamp", recorded_at, features, metadata, "timestamp"::date
from features_customerfeature
"""


def export_history(to: Path, *, progress: Callable[[int], object] = lambda rows: None) -> int:
    """Write the history to `to`/date=YYYY-MM-DD/ and return the number of rows.

    Features and metadata are JSON texts. `progress` is called with the number of rows since its last call.
    """
    to.mkdir(parents=True, exist_ok=True)
    return export(SELECT_HISTORY, columns=HISTORY_COLUMNS, to=to, progress=progress)


def count_history_rows() -> int:
    return CustomerFeature.objects.count()
