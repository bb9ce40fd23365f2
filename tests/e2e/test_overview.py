"""The Overview and the activity log in a real browser: charts that refresh by themselves, a list that is filtered."""

import csv
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.test_admin import scrolls_sideways

SECONDS_TO_REFRESH = 25_000


def test_the_overview_shows_an_event_that_comes_in_without_being_loaded_again(
    stack: Stack, admin_page: Page, artefacts: Path
) -> None:
    card = admin_page.locator('[data-card="events-per-minute"]')
    admin_page.evaluate("window.isTheSamePage = true")
    # By the keyboard: what is above may grow while a click is on its way.
    card.locator("summary").press("Enter")
    expect(card.get_by_role("table")).to_be_visible()
    expect(card.get_by_role("cell", name="17 events", exact=True)).to_have_count(0)
    with stack.api() as client:
        # More in one minute than the demo data have.
        now = datetime.now(UTC).isoformat()
        events = [
            {"event_id": f"overview-{n}", "customer_id": "overview-1", "event_type": "form_submit", "timestamp": now}
            for n in range(17)
        ]
        assert client.post("/api/v1/events/", json={"events": events}).is_success
        client.get("/api/v1/customers/overview-1/features/")
    expect(card.get_by_role("cell", name="17 events", exact=True).first).to_be_visible(timeout=SECONDS_TO_REFRESH)
    requests = admin_page.locator('[data-card="requests"]')
    expect(requests.get_by_text("The last hour, by outcome.")).to_be_visible(timeout=SECONDS_TO_REFRESH)
    expect(admin_page.locator("#overview-alerts")).to_contain_text("Nothing needs you.", timeout=SECONDS_TO_REFRESH)
    assert admin_page.evaluate("window.isTheSamePage")
    take_pictures(admin_page, artefacts, name="overview")


def test_the_activity_log_is_filtered_and_exported_as_it_is_filtered(
    stack: Stack, admin_page: Page, artefacts: Path
) -> None:
    stack.manage("create_api_key", "=1+1", "--scope", "read")
    admin_page.locator("#nav-sidebar-apps").get_by_text("Activity log", exact=True).click()
    take_pictures(admin_page, artefacts, name="activity-log")
    admin_page.goto(f"{stack.url}/admin/features/activitylogentry/?q=%3D1%2B1&kind__exact=api_keys")
    expect(admin_page.locator("#result_list tbody tr")).to_have_count(1)
    with admin_page.expect_download() as download:
        admin_page.get_by_role("link", name="Export as CSV").click()
    rows = list(csv.DictReader(StringIO(download.value.path().read_text())))
    assert [row["object"].split(" (")[0] for row in rows] == ["'=1+1"]


def take_pictures(page: Page, artefacts: Path, *, name: str) -> None:
    """Take a picture at a desk and on a phone, in light and in dark."""
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert not scrolls_sideways(page)
        for scheme in ("light", "dark"):
            page.evaluate(f"document.documentElement.classList.toggle('dark', {str(scheme == 'dark').lower()})")
            page.screenshot(path=artefacts / f"{name}-{width}-{scheme}.png", full_page=True)
    page.evaluate("document.documentElement.classList.remove('dark')")
    page.set_viewport_size({"width": 1440, "height": 900})
