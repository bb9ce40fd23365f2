"""The code of docs/notebook.md runs, from top to bottom, on a small part of the demo data."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.demo.behaviour import events_of
from features.demo.loading import compute_history, compute_now, history_left, store_demo_events
from features.demo.purchases import purchases_by_customer
from features.materialization import refresh
from features.online.outbox import publish_overdue
from tests.api_client import ApiClient
from tests.factories import url_of

PAGE = Path(__file__).resolve().parents[2] / "docs/notebook.md"
PARTS = re.findall(r"^## ([^\n]+)$|^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
CUSTOMERS_TAKEN = 5  # one in so many


@pytest.fixture
def demo_data(committed: None) -> None:
    """Load a part of the demo data, with the history that `make run` makes of it."""
    now = datetime.now(UTC)
    purchases = list(purchases_by_customer().values())[::CUSTOMERS_TAKEN]
    store_demo_events([event for each in purchases for event in events_of(each, now=now)])
    compute_history(history_left())
    compute_now()


def publish_as_workers_do() -> None:
    while refresh.refresh_dirty():
        pass
    publish_overdue()


def run_page() -> dict[str, Any]:
    """Run the blocks one after the other, with the workers beside them, and return the names that they defined."""
    defined: dict[str, Any] = {}
    heading = ""
    for title, code in PARTS:
        heading = title or heading
        if code:
            exec(compile(code, f"{PAGE.name}: {heading}", "exec"), defined)  # noqa: S102 - the page's own code
            publish_as_workers_do()
    return defined


def test_the_page_trains_a_model_and_reads_its_scores_online(
    demo_data: None, api: ApiClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The page sets these; they are put back after the test.
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "featurehub.settings")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "")
    monkeypatch.chdir(tmp_path)
    page = run_page()

    table, scores = page["table"], page["scores"]
    assert set(table["label"].to_pylist()) == {0, 1}
    assert len(set(table["timestamp"].to_pylist())) == 7
    assert int(table.schema.metadata[b"featurehub.left_out"]) > 0
    assert 0 < page["auc"] <= 1
    assert scores["churn_score"].between(0, 1).all()
    assert len(scores) > 50

    assert page["values"].source == "cache"
    assert list(page["values"].features) == page["names"]
    assert page["values"].feature_set == page["feature_set"] == "churn_model:1"
    assert page["score"].features == {"churn_score": scores["churn_score"].max()}
    assert page["score"].missing == {}

    url = url_of(page["customer_id"])
    assert api.get(f"{url}?set=churn_model:1").json()["features"] == page["values"].features
    assert api.get(f"{url}?names=churn_score").json()["features"] == page["score"].features
