"""What pages expect of their reader before their first block, and what is put back after the last one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from tests.docs.runner import PageRun

# What the admin does in the steps of "Nightly churn scores with dbt".
CHURN_SCORE = """
from features.lifecycle import drafts, version_steps
from features.models import FeatureDefinition
score = FeatureDefinition.objects.create(name="churn_score", feature_type="customer", minimum=0, maximum=1)
version = drafts.draft_version("customer", "1.1", by=None, reason="Churn")
drafts.add_definitions(version.pk, [score], by=None)
version_steps.put_into_shadow(version.pk, by=None, reason="Churn")
"""
# The names that the block of pandas takes for granted: customers, their rows, a model, a key.
MODEL = """
import os
import numpy as np
from sklearn.dummy import DummyClassifier
customers, key = ["p1", "p2", "p3"], os.environ["KEY"]
X = np.array([[0.0], [1.0], [2.0]])
model = DummyClassifier(strategy="prior").fit(X, [0, 1, 1])
"""
# Two pages add features to the version that is there, each to the first ones only.
FIRST_FEATURES = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute('''
        alter table features_featureversion_definitions disable trigger user;
        delete from features_featureversion_definitions using features_featuredefinition d, features_featureversion v
            where featuredefinition_id = d.id and featureversion_id = v.id and v.feature_type = 'customer'
            and v.number = '1.0' and d.name not in ('tenure_days', 'loyalty_tier');
        alter table features_featureversion_definitions enable trigger user;
    ''')
"""


@contextmanager
def prepared(page: str, run: PageRun) -> Iterator[PageRun]:
    """Give the page what it needs, and end what it started."""
    if page in PREPARATIONS:
        PREPARATIONS[page](run)
    try:
        yield run
    finally:
        run.close()
        if page == "leaving-lead-scoring.md":
            in_shell(run, FIRST_FEATURES)


def in_shell(run: PageRun, code: str) -> None:
    run.stack.manage("shell", "--verbosity=0", "-c", code)


def bulk_values(run: PageRun) -> None:
    in_shell(run, CHURN_SCORE)
    scores = pa.table({"customer_id": ["p1", "p2"], "churn_score": [0.2, 0.7]})
    pq.write_table(scores, run.folder / "churn_scores.parquet")
    run.run_python(MODEL, place="before bulk-values.md")


def importing(run: PageRun) -> None:
    moment = datetime.now(UTC).isoformat()
    rows = f"customer_id,event_type,timestamp,amount\np1,purchase,{moment},10\np2,login,{moment},\n"
    (run.folder / "events.csv").write_text(rows)


def notebook(run: PageRun) -> None:
    """Make the set that the Python of the page makes."""
    run.environment["ID"] = "p1"
    with run.stack.api() as api:
        body = {"name": "churn_model", "names": ["recency_score", "purchase_amount_30d"], "reason": "A test"}
        api.post("/api/v1/feature-sets/", json=body).raise_for_status()


PREPARATIONS = {
    "bulk-values.md": bulk_values,
    "importing.md": importing,
    "notebook.md": notebook,
}
