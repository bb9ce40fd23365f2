"""Customer lists in a real browser, by clicking alone, on a desktop and a phone: who, a file of them, and by what."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.test_admin import scrolls_sideways

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


@pytest.mark.parametrize("size", SIZES)
def test_questions_about_customers_are_answered_by_clicking(
    stack: Stack, admin_page: Page, artefacts: Path, size: str
) -> None:
    page = admin_page
    page.locator("#nav-sidebar-apps").get_by_text("Customer lists", exact=True).click()
    page.wait_for_url("**/customer/lists/")
    until_filled(page)
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))  # type: ignore[arg-type]

    # 1. The 50 most engaged customers.
    page.get_by_role("link", name="The most engaged", exact=True).click()
    expect(page.locator("#fh-list-table tbody tr")).to_have_count(50)
    expect(page.locator("#fh-figures")).to_be_visible()
    scores = numbers_in(page, "Engagement score")
    assert scores == sorted(scores, reverse=True)
    page.screenshot(path=artefacts / f"lists-engaged-{size}.png")

    # 2. The CSV of those above 0.7 who bought within 7 days.
    page.get_by_role("link", name="Above 0.7, bought within 7 days").click()
    expect(page.get_by_label("Number").first).to_have_value("0.7")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download as CSV").click()
    with Path(downloading.value.path()).open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(float(row["engagement_score"]) >= 0.7 and float(row["days_since_purchase"]) <= 7 for row in rows)
    expect(page.locator("#fh-figures")).to_have_text(f"{len(rows):,} customer{'' if len(rows) == 1 else 's'}")
    page.screenshot(path=artefacts / f"lists-bought-{size}.png")

    # 3. The average customer by category.
    page.get_by_role("link", name="The average customer by category").click()
    expect(page.get_by_role("heading", name="By category of most events")).to_be_visible()
    expect(page.get_by_role("rowheader", name="jazz")).to_be_visible()
    assert not scrolls_sideways(page)
    page.screenshot(path=artefacts / f"lists-categories-{size}.png")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=artefacts / f"lists-categories-dark-{size}.png", full_page=True)


def numbers_in(page: Page, heading: str) -> list[float]:
    """Return the column of the list with this heading."""
    texts = page.locator(f'#fh-list-table tbody td[data-label="{heading}"]').all_inner_texts()
    return [float(text) for text in texts]


def until_filled(page: Page) -> None:
    """Load the page again until the lists are filled in, for at most a minute after the first start."""
    for _ in range(120):
        if not page.get_by_text("being filled in").count():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError("The lists are not filled in.")
