"""A team brings an event type of its own: registered by a file, posted, weighed, counted, trained on, and read."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect
from pyarrow import parquet

from tests.e2e.conftest import Stack
from tests.factories import ago

TYPE, COUNT, SET = "trial_started", "trials_6h", "trial_model:1"
SECONDS_AT_MOST = 60.0
MILLISECONDS_TO_COMPUTE = 240_000
WEIGHT, NORM = 0.5, 8
# Greater than those that other tests of the same instance make by themselves; theirs follow it if they come later.
NUMBER = "900.0"
FILE = f"""\
event_types:
  {TYPE}:
    label: Trial started
    description: Sent by the sign-up page
definitions:
  {COUNT}:
    type: behavioral
    description: Trials begun in 6 hours
    unit: events
    kind: count
    event_type: {TYPE}
    window: 6h
versions:
  behavioral:{NUMBER}:
    features: [engagement_score, login_frequency, {COUNT}]
sets:
  {SET}:
    features: [{COUNT}, engagement_score, tenure_days]
    versions: [behavioral:{NUMBER}, customer:1.0]
    reason: What the model of trials takes
"""


# For other tests of the same instance, which count the types that take events.
RETIRE = f"""
from features.lifecycle.version_steps import retire
from features.models import FeatureVersion
for version in FeatureVersion.objects.filter(number="{NUMBER}", state="shadow"):
    retire(version.pk, by=None, reason="The test is over", confirmed=True)
"""


@pytest.fixture
def cleared(stack: Stack, tmp_path: Path) -> Iterator[None]:
    """Retire the version and archive the event type after the test."""
    yield
    file = tmp_path / "archived.yaml"
    file.write_text(f"event_types: {{{TYPE}: {{archived: true}}}}")
    stack.manage("apply_definitions", str(file))
    stack.manage("shell", "--verbosity=0", "-c", RETIRE)


@pytest.mark.timeout(900)
def test_a_team_brings_its_own_event_type(
    stack: Stack, cleared: None, admin_page: Page, tmp_path: Path, artefacts: Path
) -> None:
    # 1. Register the type, its count in a draft version, and the set that takes it, by a file.
    file = tmp_path / "trials.yaml"
    file.write_text(FILE)
    assert status_of_plan(stack, file) == 3
    assert "4 made, 0 changed, 0 archived, 0 refused." in stack.manage("apply_definitions", str(file))
    assert status_of_plan(stack, file) == 0

    # 2. Post such events: three within the window of the count, one before it.
    customer_id = f"trial-{uuid4()}"
    events = [event(customer_id, hours=hours) for hours in (0.1, 2, 5.9, 7)]
    with stack.api() as api:
        wait_until(lambda: api.post("/api/v1/events/", json={"events": events}).status_code == 201)

    # 3. Compute the draft version beside the live one.
    put_into_shadow(stack, admin_page)

    # 4. Weigh them in the studio, and activate the weights of that version.
    weigh_in_the_studio(stack, admin_page, artefacts)

    # 5. Build a training set: what held six and a half hours ago, and whether a trial began in the hour after it.
    moment = ago(hours=6.5).isoformat()
    stack.manage("recompute", "--customer", customer_id, "--as-of", moment)
    row = training_row(stack, customer_id, moment=moment, out=tmp_path / "trials.parquet")
    assert (row[COUNT], row["label"]) == (1.0, 1)

    # 6. Read online by the set exactly what as-of gives for the same moment.
    with stack.api() as api:
        wait_until(lambda: score_of(api, customer_id) == WEIGHT * 4 / NORM)
        online = read_by_set(api, customer_id)
        assert (online["set"], online["features"][COUNT]) == (SET, 3.0)
        body = {"entities": [{"customer_id": customer_id, "timestamp": online["computed_at"]}], "set": SET}
        (row,) = api.post("/api/v1/features/as-of/", json=body).json()["results"]
        assert (row["features"], row["missing"]) == (online["features"], online["missing"])


def event(customer_id: str, *, hours: float) -> dict[str, Any]:
    moment = ago(hours=hours).isoformat()
    return {"event_id": uuid4().hex, "customer_id": customer_id, "event_type": TYPE, "timestamp": moment}


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS_AT_MOST
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.2)


def status_of_plan(stack: Stack, file: Path) -> int:
    """Return the exit status of `plan_definitions`."""
    try:
        stack.manage("plan_definitions", str(file))
    except subprocess.CalledProcessError as ended:
        return ended.returncode
    return 0


def weigh_in_the_studio(stack: Stack, page: Page, artefacts: Path) -> None:
    """Give the type a weight in the set of the version, and activate that."""
    with stack.api() as api:
        sets = api.get("/api/v1/weights/").json()["results"]
    own = next(found["id"] for found in sets if (found["version"], found["state"]) == (NUMBER, "active"))
    page.goto(f"{stack.url}/admin/features/weightset/{own}/studio/")
    page.locator(f"#id_weight_{TYPE}").fill(str(WEIGHT))
    page.locator(f"#id_norm_{TYPE}").fill(str(NORM))
    page.get_by_label("Name").fill("Trials count")
    page.get_by_label("Why?").fill("A trial is the best sign")
    page.screenshot(path=artefacts / "bring-your-own-studio.png", full_page=True)
    page.get_by_role("button", name="Save as a new draft").click()
    expect(page.get_by_text("is saved as a draft")).to_be_visible()
    page.goto(re.sub(r"studio/.*", "change/", page.url))
    page.get_by_role("link", name="Activate now", exact=True).click()
    page.get_by_label("Why?").fill("A trial is the best sign")
    page.get_by_role("button", name="Activate and re-score all customers").click()
    expect(page.locator("#fh-progress p[data-state=done]")).to_be_visible(timeout=MILLISECONDS_TO_COMPUTE)


def put_into_shadow(stack: Stack, page: Page) -> None:
    """Put the version of the file into shadow, and wait until everybody's values are computed."""
    page.goto(f"{stack.url}/admin/features/featureversion/")
    page.get_by_role("link", name=f"behavioral:{NUMBER}", exact=True).click()
    page.get_by_role("link", name="Put into shadow", exact=True).click()
    page.get_by_label("Compute its past from").fill("")
    page.get_by_label("Why?").fill("The count of trials")
    page.get_by_role("button", name="Put this version into shadow").click()
    expect(page.get_by_role("link", name="Go live", exact=True)).to_be_visible()
    expect(page.locator('[data-run][data-state="running"]')).to_have_count(0, timeout=MILLISECONDS_TO_COMPUTE)


def training_row(stack: Stack, customer_id: str, *, moment: str, out: Path) -> dict[str, Any]:
    """Return the customer's row of a training set that is made of events at one moment, by the set."""
    rows = ("--every", "1d", "--since", moment, "--until", moment, "--label", f"{TYPE} within 1h")
    stack.manage("build_training_set", *rows, "--set", SET, "--out", str(out))
    (row,) = (row for row in parquet.read_table(out).to_pylist() if row["customer_id"] == customer_id)
    return row


def read_by_set(api: httpx.Client, customer_id: str) -> Any:
    return api.get(f"/api/v1/customers/{customer_id}/features/", params={"set": SET}).json()


def score_of(api: httpx.Client, customer_id: str) -> float | None:
    """Return the score as the set's readers get it; None as long as they can't read by it."""
    score: float | None = read_by_set(api, customer_id).get("features", {}).get("engagement_score")
    return score
