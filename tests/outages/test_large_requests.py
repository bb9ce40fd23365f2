"""The largest requests that the API takes: none fails by its own size, whatever the limit of its waits is."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.outages.conftest import Site, wait_until
from tests.outages.readers import Web, report

EVENTS, CUSTOMERS, ENTITIES = 10_000, 1_000, 10_000
WRITTEN = {f"written_{number}": number + 0.123456 for number in range(480)}
DEFINE = """
from features.models import FeatureDefinition
FeatureDefinition.objects.bulk_create(
    FeatureDefinition(name=f"written_{number}", feature_type="contextual") for number in range(480)
)
"""
WRITE_FOR_EVERYBODY = """
insert into features_customerfeature
    (customer_id, feature_type, version, "timestamp", recorded_at, features, metadata)
select 'large' || number, 'contextual', '1.0', now() - interval '1 hour', now(), %s, '{}'
from generate_series(0, %s - 1) number
"""
pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def large_events(*, pause: timedelta, metadata: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return as many events as one request may hold, each of its own customer, a pause after the other until now."""
    now = datetime.now(UTC) - timedelta(hours=1)
    return [
        {
            "event_id": f"{prefix}{number}", "customer_id": f"large{number}", "event_type": "purchase",
            "timestamp": (now - number * pause).isoformat(), "metadata": metadata,
        }
        for number in range(EVENTS)
    ]  # fmt: skip


def test_ten_thousand_events_of_16_mb_are_stored_and_found_again(api: Web) -> None:
    metadata = {"amount": 10.5, "category": "c", "filler": "x" * 1_350}
    events = large_events(pause=timedelta(minutes=1), metadata=metadata, prefix="large")
    assert 15e6 < len(json.dumps({"events": events})) < 16 * 1024 * 1024
    stored, again = (api.ask("POST", "/api/v1/events/", {"events": events}) for _ in range(2))
    report("10,000 events of 15 MB", stored=[stored], again=[again])
    assert (stored.status, stored.body) == (201, {"accepted": EVENTS, "duplicates": 0})
    assert (again.status, again.body) == (201, {"accepted": 0, "duplicates": EVENTS})


def test_ten_thousand_events_of_all_months_since_1970_are_stored(api: Web) -> None:
    pause = (datetime.now(UTC) - datetime(1970, 2, 1, tzinfo=UTC)) / EVENTS
    events = large_events(pause=pause, metadata={}, prefix="old")
    stored = api.ask("POST", "/api/v1/events/", {"events": events})
    report("10,000 events of 670 months", stored=[stored])
    assert (stored.status, stored.body) == (201, {"accepted": EVENTS, "duplicates": 0})


@pytest.fixture(scope="module")
def wide(site: Site) -> None:
    """Register 480 names more, and write a value of each for every customer."""
    wait_until(lambda: site.webs["api"].get("/readyz").status == 200)
    site.manage("shell", "--no-imports", "--command", DEFINE)
    with psycopg.connect(site.postgres.url) as connection:
        connection.execute(WRITE_FOR_EVERYBODY, [json.dumps(WRITTEN), ENTITIES])
    written = {"feature_type": "contextual", "version": "1.0", "features": WRITTEN}
    path = "/api/v1/customers/large0/features/"
    wait_until(lambda: site.webs["api"].ask("PATCH", path, written).status == 200, seconds=20)


def test_a_thousand_customers_by_480_names_are_read_from_postgresql(site: Site, wide: None, api: Web) -> None:
    site.redis().flushdb()
    body = {"customer_ids": [f"large{number}" for number in range(CUSTOMERS)], "names": list(WRITTEN)}
    read = api.ask("POST", "/api/v1/features/batch/", body)
    report("1,000 customers by 480 names", batch=[read])
    assert read.status == 200
    assert {row["source"] for row in read.body["results"]} == {"database"}
    assert [row["features"] for row in read.body["results"]] == [WRITTEN] * CUSTOMERS


def test_480_values_of_a_customer_are_written(wide: None, api: Web) -> None:
    features = {name: value + 1 for name, value in WRITTEN.items()}
    body = {"feature_type": "contextual", "version": "1.0", "features": features}
    written = api.ask("PATCH", "/api/v1/customers/large1/features/", body)
    report("480 values", patch=[written])
    assert written.status == 200


def test_ten_thousand_entities_by_480_names_are_read_as_of_their_moments(wide: None, api: Web) -> None:
    moment = datetime.now(UTC).isoformat()
    entities = [{"customer_id": f"large{number}", "timestamp": moment} for number in range(ENTITIES)]
    read = api.ask("POST", "/api/v1/features/as-of/", {"entities": entities, "names": list(WRITTEN)})
    report("10,000 entities by 480 names", as_of=[read])
    assert read.status == 200
    assert len(read.body["results"]) == ENTITIES
    assert read.body["results"][-1]["features"] == WRITTEN
