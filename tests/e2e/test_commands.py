"""manage.py commands as programs, beside a running instance."""

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import Stack


def test_an_import_ends_with_its_status_and_its_customers_can_be_read(stack: Stack, tmp_path: Path) -> None:
    good = {"customer_id": "imported", "event_type": "page_view", "timestamp": datetime.now(UTC).isoformat()}
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(json.dumps(event) for event in (good, {**good, "event_type": "visit"}, good)))
    with pytest.raises(subprocess.CalledProcessError) as ended:
        stack.manage("import_events", str(path))
    assert ended.value.returncode == 1
    assert "2 accepted, 0 duplicates, 1 rejected" in ended.value.stdout
    assert json.loads((tmp_path / "events.jsonl.rejected.jsonl").read_text())["row"] == 2

    path.write_text("\n".join(json.dumps(event) for event in (good, good)))
    assert "1 accepted, 1 duplicates, 0 rejected" in stack.manage("import_events", str(path))
    with pytest.raises(subprocess.CalledProcessError) as ended:
        stack.manage("import_events", str(tmp_path / "missing.csv"))
    assert ended.value.returncode == 2

    deadline = time.monotonic() + 60
    with stack.api() as api:
        while time.monotonic() < deadline:
            values = api.get("/api/v1/customers/imported/features/?names=page_views_30d").json()
            if values["features"]["page_views_30d"] == 3.0:
                break
            time.sleep(0.1)
    assert values["features"]["page_views_30d"] == 3.0


def test_the_first_start_has_demo_data_to_try(stack: Stack) -> None:
    assert "The demo data is already loaded" in stack.manage("load_demo")
    assert "Api-Key fh_" in stack.log.read_text()
