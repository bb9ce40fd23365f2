"""What alerts and the dashboard ask of Prometheus, a running instance has; workers and beat are counted, too."""

import re
import time

import httpx

from tests.e2e.conftest import Stack
from tests.factories import ago
from tests.monitoring_files import expressions_of_dashboard, metrics_in, read_alerts

# There from the first profiled day on: tests/features/admin/values/test_model_admin.py.
OF_PROFILES = {
    "featurehub_values_shifted",
    "featurehub_value_profile_age_seconds",
    "featurehub_value_missing_share",
    "featurehub_value_stability_index",
    "featurehub_value_largest_distance",
}
SECONDS_AT_MOST = 30.0


def names_of(scraped: str) -> set[str]:
    """Return the names of the samples that the metrics of a page have."""
    names = set()
    for name, kind in re.findall(r"^# TYPE (featurehub_\S+) (\S+)$", scraped, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def test_every_metric_of_the_alerts_and_the_dashboard_is_there(stack: Stack) -> None:
    stack.manage("check_consistency")
    with stack.api() as http:
        there = names_of(http.get("/metrics").text)
    asked = metrics_in([*(alert["expr"] for alert in read_alerts()), *expressions_of_dashboard()])
    assert len(asked) > 20
    assert sorted(asked - there - OF_PROFILES) == []


def test_tasks_of_the_worker_and_of_beat_are_counted_by_all_processes(stack: Stack) -> None:
    task = 'task="features.refresh_dirty"'
    patterns = [
        rf'featurehub_task_seconds_count{{outcome="success",{task}}} [1-9]',
        rf"featurehub_tasks_sent_by_beat_total{{{task}}} [1-9]",
        r"featurehub_publication_delay_seconds_count [1-9]",
    ]
    end = time.monotonic() + SECONDS_AT_MOST
    event = {"customer_id": "monitored", "event_type": "login", "timestamp": ago(minutes=1).isoformat()}
    with stack.api() as http:
        assert http.post("/api/v1/events/", json={"events": [event]}).status_code == 201
        while missing := [pattern for pattern in patterns if not re.search(pattern, scrape_of(http))]:
            assert time.monotonic() < end, missing
            time.sleep(0.5)


def scrape_of(http: httpx.Client) -> str:
    return http.get("/metrics").text
