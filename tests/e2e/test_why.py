"""Questions of a marketer, answered by clicking: why a customer's score fell, and whether the values are as usual."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Stack, log_in
from tests.e2e.test_admin import scrolls_sideways

SCREENS: dict[str, Any] = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "desktop-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
}
# A demo customer whose score was higher a week ago, by the values that FeatureHub has recorded.
FALLEN = """
from django.db import connection
cursor = connection.cursor()
cursor.execute('''
    select customer_id from (
        select customer_id, score, "timestamp", lag(score) over past as before
        from features_customerfeature
        cross join lateral (select (features ->> 'engagement_score')::float8 as score) value
        where feature_type = 'behavioral'
        window past as (partition by customer_id order by "timestamp")
    ) row
    where score < before - 0.1 and score > 0.05 and "timestamp" > now() - interval '5 days'
    order by before - score desc, customer_id limit 1
''')
print(cursor.fetchone()[0])
"""


@pytest.fixture(scope="module")
def fallen(stack: Stack) -> str:
    return stack.manage("shell", "--verbosity", "0", "-c", FALLEN).strip()


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Any:
    """Yield the name of a screen and a tab on it, logged in."""
    context = browser.new_context(**SCREENS[request.param])
    page = context.new_page()
    page.set_default_timeout(15_000)
    log_in(page, stack)
    yield request.param, page
    context.close()


def test_why_did_this_customers_score_fall(
    screen: tuple[str, Page], stack: Stack, fallen: str, artefacts: Path
) -> None:
    name, page = screen
    page.goto(f"{stack.url}/admin/features/customer/{fallen}/change/")
    section = page.locator("#why-it-changed")
    section.get_by_role("link", name="the last week").click()
    expect(section.locator("#change")).to_contain_text("The score fell by")
    expect(section.locator("#change")).to_contain_text("mostly through")
    expect(section.locator("#change")).to_contain_text("became too old to count")
    expect(section.get_by_role("row", name="Together").first).to_be_visible()
    assert not scrolls_sideways(page)
    section.screenshot(path=artefacts / f"why-{name}.png")

    section.get_by_text("Choose two of the recorded scores").click()
    section.get_by_role("radio", name="From").last.check()
    section.get_by_role("radio", name="To").first.check()
    section.get_by_role("button", name="Explain the change between these two").click()
    expect(section.locator("#change")).to_contain_text("The score")
    assert "before=" in page.url
    assert "after=" in page.url
    expect(section.get_by_role("radio", name="From").last).to_be_checked()


def test_are_the_values_as_usual(screen: tuple[str, Page], stack: Stack, artefacts: Path) -> None:
    name, page = screen
    page.goto(f"{stack.url}/admin/features/featureprofile/")
    for _ in range(60):
        if page.get_by_role("link", name="engagement_score").count() and not page.get_by_text("is being made").count():
            break
        stack.manage(
            "shell", "-c", "from features import tasks; tasks.profile_values_task(); tasks.count_events_task()"
        )
        page.reload()
    expect(page.get_by_role("heading", name="What is unusual")).to_be_visible()
    assert not scrolls_sideways(page)
    page.screenshot(path=artefacts / f"values-{name}.png", full_page=True)
    page.get_by_role("link", name="engagement_score", exact=True).click()
    expect(page.get_by_role("heading", name="Population stability index")).to_be_visible()
    assert not scrolls_sideways(page)
    page.screenshot(path=artefacts / f"value-{name}.png", full_page=True)
