"""The page on which a version goes live, on a desktop and a phone: it shows whose score changes, and asks."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Stack, log_in
from tests.e2e.test_admin import NARROW, best_customer, scrolls_sideways

MILLISECONDS_TO_SWITCH = 60_000
# A version in shadow, then other weights in the live one; the id of the version is printed.
PREPARE = """
import time
from django.db.models import Q
from features.lifecycle import drafts, version_steps, weight_set_steps
from features.models import Run
from features.registry.weight_sets import as_weights, live_set
version = drafts.draft_version("behavioral", drafts.next_number("behavioral"), by=None, reason="A test")
version_steps.put_into_shadow(version.pk, by=None, reason="A test")
held = live_set()
numbers = as_weights(held)
numbers.weight["purchase"] += 0.3
newer = weight_set_steps.draft_weight_set(
    version=held.version.number, name="Purchases count more", reason="A test", numbers=numbers, by=None
)
weight_set_steps.activate(newer.pk, by=None, reason="A test")
of_ours = Run.objects.filter(Q(version=version) | Q(weight_set=newer), state="running")
end = time.monotonic() + 120
while of_ours.exists() and time.monotonic() < end:
    time.sleep(0.2)
print(version.pk)
"""
# Everything is as it was before: the version and the weights that the other tests know.
TAKE_BACK = """
import time
from django.db.models.functions import Now
from features.lifecycle import version_steps, weight_set_steps
from features.models import FeatureVersion
first = FeatureVersion.objects.get(feature_type="behavioral", number="1.0")
version_steps.go_live(first.pk, by=None, reason="A test")
earlier = first.weight_sets.filter(state="superseded").order_by("activated_at").last()
run = weight_set_steps.roll_back(earlier.pk, by=None, reason="A test")
switched = FeatureVersion.objects.filter(pk=first.pk, is_awaiting_scores=False, live_from__lte=Now())
end = time.monotonic() + 120
while not (switched.exists() and type(run).objects.filter(pk=run.pk, state="done").exists()):
    assert time.monotonic() < end
    time.sleep(0.2)
"""


def score(stack: Stack) -> float:
    with stack.api() as client:
        answer = client.get(f"/api/v1/customers/{best_customer(stack)}/features/", params={"names": "engagement_score"})
    value: float = answer.json()["features"]["engagement_score"]
    return value


@pytest.mark.timeout(300)
def test_a_score_is_the_same_after_its_version_went_live_with_newer_weights_on_the_old_one(
    stack: Stack, browser: Browser, artefacts: Path
) -> None:
    first = score(stack)
    pk = stack.manage("shell", "--verbosity=0", "-c", PREPARE).split()[-1]
    address = f"{stack.url}/admin/features/featureversion/{pk}/step/go-live/"
    before = score(stack)
    # An event or two of the demo may leave the window meanwhile, which changes less than the newer weights did.
    assert before > first + 0.03
    unchanged = pytest.approx(before, abs=0.01)
    for name, size in {"phone": NARROW, "desktop": {"width": 1440, "height": 900}}.items():
        page = browser.new_context(viewport=size).new_page()  # type: ignore[arg-type]
        log_in(page, stack)
        page.goto(address)
        page.get_by_label("Your threshold").fill("0.4")
        page.get_by_role("button", name="Show for this threshold").click()
        expect(page.get_by_role("row", name="Fall below 0.40")).to_be_visible()
        expect(page.get_by_label("no score changes through weights")).to_be_checked()
        assert not scrolls_sideways(page)
        page.screenshot(path=artefacts / f"going-live-{name}.png", full_page=True)
    page.get_by_label("Why?").fill("It is better")
    page.get_by_role("button", name="Make this the live version").click()
    expect(page.get_by_text("everybody is scored with the weights carried over")).to_be_visible()
    assert score(stack) == unchanged
    page.wait_for_timeout(1_000)
    for _ in range(MILLISECONDS_TO_SWITCH // 1_000):
        page.reload()
        if page.get_by_text("Returned to readers that ask for no version.").is_visible():
            break
        page.wait_for_timeout(1_000)
    expect(page.get_by_text("Returned to readers that ask for no version.")).to_be_visible()
    assert score(stack) == unchanged
    page.goto(f"{stack.url}/admin/features/weightset/")
    expect(page.get_by_text("(live)").first).to_be_visible()
    page.screenshot(path=artefacts / "weight-sets-standing.png")
    stack.manage("shell", "--verbosity=0", "-c", TAKE_BACK)
