"""The page of consistency in a real browser: the first check, a wrong value found, and the repair by a worker."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.test_admin import scrolls_sideways

# Whoever is computed anew between the corruption and the check has right values again.
LONGEST_UNCHANGED = (
    "from features.models import Customer; print(Customer.objects.filter(customer_id__startswith='cdnow-')"
    ".order_by('recompute_at').exclude(recompute_at=None).last().pk)"
)
CORRUPT = (
    "from django_redis import get_redis_connection; from features.online.layout import key_of; "
    "get_redis_connection('default').hset(key_of({!r}), 'engagement_score', '0.987')"
)


def test_a_wrong_value_is_found_shown_and_repaired(stack: Stack, admin_page: Page, artefacts: Path) -> None:
    customer_id = stack.manage("shell", "--verbosity=0", "-c", LONGEST_UNCHANGED).split()[-1]
    admin_page.locator("#nav-sidebar-apps").get_by_text("Consistency", exact=True).click()
    expect(admin_page.get_by_text("Are the values right?")).to_be_visible()
    admin_page.screenshot(path=artefacts / "consistency-empty.png")
    check_now(admin_page)
    expect(admin_page.get_by_text("and none is wrong")).to_be_visible()

    stack.manage("shell", "-c", CORRUPT.format(customer_id))
    check_now(admin_page)
    expect(admin_page.get_by_text("1 is wrong")).to_be_visible()
    expect(admin_page.get_by_role("link", name=customer_id)).to_be_visible()
    admin_page.screenshot(path=artefacts / "consistency-wrong.png", full_page=True)
    admin_page.get_by_role("button", name="Repair these customers").click()
    until_shown(admin_page, "1 customer repaired")
    admin_page.screenshot(path=artefacts / "consistency-repaired.png", full_page=True)
    with stack.api() as client:
        values = client.get(f"/api/v1/customers/{customer_id}/features/?names=engagement_score").json()
    assert values["features"]["engagement_score"] != 0.987

    check_now(admin_page)
    admin_page.get_by_role("link", name="All checks").click()
    expect(admin_page.get_by_role("application").first).to_be_visible()
    admin_page.screenshot(path=artefacts / "consistency.png", full_page=True)
    admin_page.set_viewport_size({"width": 375, "height": 800})
    assert not scrolls_sideways(admin_page)
    admin_page.screenshot(path=artefacts / "consistency-375.png", full_page=True)


def check_now(page: Page) -> None:
    """Press the button, and wait on the check's page until it is done."""
    if not page.get_by_role("button", name="Check now").count():
        page.get_by_role("link", name="All checks").click()
    page.get_by_role("button", name="Check now").click()
    until_shown(page, "customers were compared, and")


def until_shown(page: Page, text: str) -> None:
    """Load the page again until it shows the text, for at most a minute."""
    for _ in range(120):
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(f"The page does not show {text!r}.")
