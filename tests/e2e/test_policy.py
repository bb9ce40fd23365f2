"""The Content-Security-Policy in a real browser: no page breaks it, and what somebody smuggles in does not run."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack, log_in
from tests.e2e.test_admin import best_customer

MOST_PAGES = 90
# Pages without a link, or whose link needs rows that the demo data has not.
ALSO = ("/admin/access/apikey/add/", "/admin/features/featuredefinition/add/", "/admin/auth/user/1/password/")
DRAFT = """
from features.models import FeatureVersion, WeightSet
from features.lifecycle import drafts
drafts.draft_version("behavioral", drafts.next_number("behavioral"), by=None, reason="A test")
active = WeightSet.objects.get(state="active", version__state="live")
draft = WeightSet.objects.create(version=active.version, name="Policy", reason="A test", monetary_norm=1000.0)
for row in active.weights.all():
    draft.weights.create(event_type=row.event_type, weight=row.weight, norm=row.norm)
print(draft.pk)
"""
DISCARD = """
from features.models import FeatureVersion
from features.lifecycle import drafts
drafts.discard(FeatureVersion.objects.filter(state="draft").latest("pk").pk, by=None, reason="A test")
"""


@pytest.fixture
def violations(page: Page) -> list[str]:
    """Collect what a page's console says of the policy."""
    said: list[str] = []
    page.on(
        "console", lambda line: said.append(f"{page.url}: {line.text}") if "Content Security" in line.text else None
    )
    return said


def shape_of(address: str) -> str:
    """Return the address without ids: one page of each kind is enough."""
    parts = urlsplit(address)
    return re.sub(r"/[^/]*[0-9][^/]*(?=/)", "/N", parts.path)


def links_of(page: Page, stack: Stack) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.links].filter((link) => !link.hasAttribute('download')).map((link) => link.href)"
    )
    return [link.partition("#")[0] for link in found if link.startswith(f"{stack.url}/admin/") and "logout" not in link]


def test_no_page_of_the_admin_breaks_the_policy(
    stack: Stack, page: Page, violations: list[str], request: pytest.FixtureRequest
) -> None:
    draft = stack.manage("shell", "--verbosity", "0", "-c", DRAFT).strip()
    # Other tests on this stack make versions with smaller numbers.
    request.addfinalizer(lambda: stack.manage("shell", "--verbosity", "0", "-c", DISCARD))
    customer = f"/admin/features/customer/{best_customer(stack)}/change/"
    log_in(page, stack)
    waiting = [
        f"{stack.url}{path}" for path in (customer, f"/admin/features/weightset/{draft}/studio/", *ALSO, "/admin/")
    ]
    seen: set[str] = set()
    while waiting and len(seen) < MOST_PAGES:
        address = waiting.pop(0)
        if shape_of(address) in seen:
            continue
        seen.add(shape_of(address))
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        policy = answer.headers["content-security-policy"]
        assert "unsafe-inline" not in policy
        page.wait_for_function("window.Alpine !== undefined")
        waiting += links_of(page, stack)
    assert violations == []
    assert len(seen) > 40, sorted(seen)


def test_menus_and_actions_work_under_the_policy(stack: Stack, page: Page, violations: list[str]) -> None:
    log_in(page, stack)
    page.goto(f"{stack.url}/admin/django_celery_beat/periodictask/")
    page.locator(".action-select").first.check()
    page.get_by_label("Action").or_(page.locator("select[name=action]")).first.select_option("enable_tasks")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("enabled").first).to_be_visible()
    page.goto(f"{stack.url}/admin/features/customer/{best_customer(stack)}/change/")
    expect(page.get_by_role("application", name=re.compile("Score over time"))).to_be_visible()
    assert violations == []


def test_the_page_of_the_api_works_without_eval(stack: Stack, page: Page, violations: list[str]) -> None:
    answer = page.goto(f"{stack.url}/api/docs/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    expect(page.get_by_text("/api/v1/features/batch/").first).to_be_visible()
    page.locator(".opblock-summary").first.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.get_by_text("Available authorizations")).to_be_visible()
    assert violations == []


def test_what_is_smuggled_into_a_page_does_not_run(stack: Stack, page: Page, violations: list[str]) -> None:
    page.goto(f"{stack.url}/admin/login/")
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="window.smuggled = 1">');
            const script = document.createElement("script");
            script.textContent = "window.smuggled = 2";
            document.body.append(script);
        }"""
    )
    for _ in range(150):
        if len(violations) >= 2:
            break
        page.wait_for_timeout(100)
    assert len(violations) >= 2  # so the other tests would have seen theirs
    assert page.evaluate("window.smuggled === undefined")
