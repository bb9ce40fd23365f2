"""Feature sets in a real browser: an operator makes one by choosing features, and a program reads by it."""

import time
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.test_admin import best_customer, scrolls_sideways

NAMES = ["recency_score", "cart_value", "engagement_score"]


def test_a_set_is_made_by_choosing_features_and_read(stack: Stack, admin_page: Page, artefacts: Path) -> None:
    admin_page.goto(f"{stack.url}/admin/features/featureset/")
    admin_page.get_by_role("link", name="Make a set").click()
    admin_page.get_by_label("Name").fill("browser_model")
    for name in NAMES:
        admin_page.get_by_role("button", name=name, exact=True).first.click()
    expect(admin_page.get_by_label("Features, in the order")).to_have_value("\n".join(NAMES) + "\n")
    admin_page.get_by_label("Why?").fill("What the churn model of May takes")
    admin_page.screenshot(path=artefacts / "feature-set-make.png", full_page=True)
    admin_page.get_by_role("button", name="Make the set").click()
    expect(admin_page.get_by_text("browser_model:1 is made.")).to_be_visible()

    values = read_by_set(stack, best_customer(stack))
    assert list(values["features"]) == NAMES
    assert values["versions"].keys() == {"behavioral", "contextual"}

    admin_page.reload()
    admin_page.screenshot(path=artefacts / "feature-set.png", full_page=True)
    admin_page.set_viewport_size({"width": 390, "height": 844})
    assert not scrolls_sideways(admin_page)
    admin_page.screenshot(path=artefacts / "feature-set-390.png", full_page=True)


def read_by_set(stack: Stack, customer_id: str) -> dict[str, dict[str, float]]:
    """Return the customer's values as soon as the processes that serve reads know the set: within 5 s."""
    end = time.monotonic() + 10
    with stack.api() as client:
        while True:
            answer = client.get(f"/api/v1/customers/{customer_id}/features/?set=browser_model:1")
            if answer.status_code == 200 or time.monotonic() > end:
                assert answer.json()["set"] == "browser_model:1", answer.text
                return dict(answer.json())
            time.sleep(0.2)
