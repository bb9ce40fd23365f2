"""What alerts and the dashboard ask of Prometheus, a running instance has; workers and beat are counted, too."""

import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

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
    # Whatever it finds: other tests give customers values without events.
    with suppress(subprocess.CalledProcessError):
        stack.manage("check_consistency")
    asked = metrics_in([*(alert["expr"] for alert in read_alerts()), *expressions_of_dashboard()]) - OF_PROFILES
    assert len(asked) > 20
    with stack.api() as http:
        write_and_read(http)
        assert missing_at_last(http, lambda scraped: sorted(asked - names_of(scraped))) == []


def test_tasks_of_the_worker_and_of_beat_are_counted_by_all_processes(stack: Stack) -> None:
    task = 'task="features.refresh_dirty"'
    patterns = [
        rf'featurehub_task_seconds_count{{outcome="success",{task}}} [1-9]',
        rf"featurehub_tasks_sent_by_beat_total{{{task}}} [1-9]",
        r"featurehub_publication_delay_seconds_count [1-9]",
    ]
    with stack.api() as http:
        write_and_read(http)
        assert missing_at_last(http, lambda scraped: [each for each in patterns if not re.search(each, scraped)]) == []


def write_and_read(http: httpx.Client) -> None:
    """Store an event, which a task counts, and read its customer."""
    event = {"customer_id": "monitored", "event_type": "login", "timestamp": ago(minutes=1).isoformat()}
    assert http.post("/api/v1/events/", json={"events": [event]}).status_code == 201
    assert http.get("/api/v1/customers/monitored/features/").status_code == 200


def missing_at_last(http: httpx.Client, missing_in: Callable[[str], list[str]]) -> list[str]:
    """Return what /metrics lacks after SECONDS_AT_MOST: by then every process has written down its counts."""
    end = time.monotonic() + SECONDS_AT_MOST
    while (missing := missing_in(http.get("/metrics").text)) and time.monotonic() < end:
        time.sleep(0.5)
    return missing
