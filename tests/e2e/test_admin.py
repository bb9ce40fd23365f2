"""The admin in a real browser, on a running instance with the demo data."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Stack, log_in

NARROW = {"width": 375, "height": 800}


def best_customer(stack: Stack) -> str:
    """Return the demo customer that the first start proposes to look at."""
    found = re.search(r"customer (\S+) has an engagement_score", stack.log.read_text())
    assert found is not None
    return found[1]


def scrolls_sideways(page: Page) -> bool:
    """Return whether the page is wider than the window, also after its charts had two seconds to take the width."""
    for _ in range(20):
        if not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            return False
        page.wait_for_timeout(100)
    return True


def test_the_dashboard_shows_what_is_happening(stack: Stack, admin_page: Page, artefacts: Path) -> None:
    expect(admin_page.locator(".hub-tile").get_by_text("Backlog", exact=True)).to_be_visible()
    expect(admin_page.get_by_text("reachable")).to_be_visible()
    expect(admin_page.get_by_text("No jobs running")).to_be_visible()
    admin_page.screenshot(path=artefacts / "dashboard.png")


def test_a_customers_page_shows_the_score_that_clients_read_and_its_parts(
    stack: Stack, admin_page: Page, artefacts: Path
) -> None:
    customer_id = best_customer(stack)
    admin_page.locator("#nav-sidebar-apps").get_by_text("Customers", exact=True).last.click()
    admin_page.get_by_placeholder("Any part of a customer_id").fill(customer_id)
    admin_page.keyboard.press("Enter")
    admin_page.get_by_role("link", name=customer_id).click()
    with stack.api() as client:
        answer = client.get(f"/api/v1/customers/{customer_id}/explanation/").json()
    score = admin_page.locator("#score")
    expect(score).to_have_text(f"{answer['engagement_score']:.3f}")
    for row in answer["contributions"]:
        # The first chart: that of a change has the event types, too.
        parts = admin_page.locator(".hub-chart").first.locator("tbody th")
        part = parts.get_by_text(row["event_type"].replace("_", " "), exact=True)
        expect(part).to_have_count(1 if row["contribution"] > 0 else 0)
    expect(admin_page.get_by_role("application", name=re.compile("What the score is made of"))).to_be_visible()
    expect(admin_page.get_by_role("rowheader", name="page view", exact=True).first).to_be_visible()
    admin_page.screenshot(path=artefacts / "customer.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_fit_a_narrow_screen(stack: Stack, browser: Browser, theme: str, artefacts: Path) -> None:
    context = browser.new_context(viewport=NARROW, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    log_in(page, stack)
    for name, path in {
        "dashboard": "/admin/",
        "customer": f"/admin/features/customer/{best_customer(stack)}/change/",
        "events": "/admin/events/event/",
        "keys": "/admin/access/apikey/add/",
    }.items():
        page.goto(stack.url + path)
        assert not scrolls_sideways(page), path
        page.screenshot(path=artefacts / f"{name}-375-{theme}.png")
    context.close()


def test_a_new_customers_page_is_there_seconds_after_their_first_event(stack: Stack, admin_page: Page) -> None:
    event = {"customer_id": "first-timer", "event_type": "login", "timestamp": datetime.now(UTC).isoformat()}
    with stack.api() as client:
        answer = client.post("/api/v1/events/", json={"events": [event]})
    assert answer.status_code == 201, answer.text
    for _ in range(50):
        admin_page.goto(f"{stack.url}/admin/features/customer/first-timer/change/")
        if admin_page.locator("#score").count():
            break
        admin_page.wait_for_timeout(200)
    expect(admin_page.locator("#score")).to_have_text("0.003")


def set_run(stack: Stack, pk: int, **fields: object) -> None:
    stack.manage("shell", "-c", f"from features.models import Run; Run.objects.filter(pk={pk}).update(**{fields!r})")


def test_the_bar_of_a_running_run_moves_by_itself(stack: Stack, admin_page: Page, artefacts: Path) -> None:
    # No worker works on a run of this kind; the test makes its progress.
    create = "from features.models import Run; print(Run.objects.create(kind='retention', total=200, done=20).pk)"
    pk = int(stack.manage("shell", "--verbosity", "0", "-c", create))
    admin_page.goto(f"{stack.url}/admin/features/run/")
    bar = admin_page.locator(f'[data-run="{pk}"]')
    expect(bar).to_contain_text("10 % 20 of 200")
    set_run(stack, pk, done=120)
    expect(bar).to_contain_text("60 % 120 of 200")
    admin_page.screenshot(path=artefacts / "runs.png")
    set_run(stack, pk, done=200, state="done")
    expect(admin_page.locator("#result_list")).to_contain_text("Done")
    expect(bar).to_contain_text("100 % 200 of 200")
