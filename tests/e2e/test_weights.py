"""A marketer tunes weights, a colleague approves them, 100,000 customers are re-scored, and all is rolled back."""

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.synthetic import PREFIX

CUSTOMERS = 100_000
# Some of the customers, which are read through the API.
READ = [f"{PREFIX}{number:07d}" for number in range(0, CUSTOMERS, 10_000)]
MILLISECONDS_TO_RESCORE = 900_000
ANN, BOB = "ann", "bob"
MAKE_MARKETER = """
from django.contrib.auth.models import Group, User
user = User.objects.create_user({name!r}, password={password!r}, is_staff=True)
user.groups.add(Group.objects.get(name="marketer"))
"""
Shot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def customers(stack: Stack) -> str:
    """Add 100,000 customers and return the fingerprint of their scores."""
    run(stack, f"from tests.e2e.synthetic import load; load({CUSTOMERS})")
    return fingerprint(stack)


@pytest.fixture
def marketers(stack: Stack, browser: Browser) -> Iterator[dict[str, Page]]:
    """Return a tab for each of two colleagues who are logged in."""
    pages = {}
    for name in (ANN, BOB):
        password = secrets.token_urlsafe(16)
        run(stack, MAKE_MARKETER.format(name=name, password=password))
        pages[name] = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        log_in(pages[name], stack, name=name, password=password)
    yield pages
    for page in pages.values():
        page.context.close()


@pytest.fixture
def shot(artefacts: Path) -> Shot:
    """Return a function that takes a screenshot of a page."""

    def take(page: Page, name: str) -> None:
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=artefacts / f"weights-{name}.png", full_page=True)

    return take


def run(stack: Stack, code: str) -> str:
    return stack.manage("shell", "--verbosity=0", "-c", code).strip()


def fingerprint(stack: Stack) -> str:
    return run(stack, "from tests.e2e.synthetic import fingerprint; print(fingerprint())").splitlines()[-1]


def log_in(page: Page, stack: Stack, *, name: str, password: str) -> None:
    page.goto(f"{stack.url}/admin/login/?next=/admin/features/weightset/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stack.url}/admin/features/weightset/")


def served(stack: Stack, customer_id: str) -> tuple[float, int]:
    """Return the score that a client of the API reads, and the weight set it is computed under."""
    answer = httpx.get(
        f"{stack.url}/api/v1/customers/{customer_id}/explanation/", headers={"Authorization": f"Api-Key {stack.key}"}
    ).json()
    return answer["engagement_score"], answer["weight_set"]


def watch_the_rescoring(page: Page, *, shot: Shot, name: str) -> None:
    """Wait until the progress bar says that all are done; before that it must have shown a part of them."""
    progress = page.locator("#fh-progress p")
    expect(progress).to_contain_text(re.compile(r"[1-9]\d* of \d{6} customers"), timeout=60_000)
    shot(page, name)
    expect(page.locator("#fh-progress p[data-state=done]")).to_be_visible(timeout=MILLISECONDS_TO_RESCORE)


def take_step(page: Page, *, button: str, confirm: str, why: str) -> None:
    page.get_by_role("link", name=button, exact=True).click()
    page.get_by_label("Why?").fill(why)
    page.get_by_role("button", name=confirm).click()


@pytest.mark.timeout(2400)
def test_weights_are_tuned_approved_activated_and_rolled_back_to_the_last_bit(
    stack: Stack, customers: str, marketers: dict[str, Page], shot: Shot
) -> None:
    ann, bob = marketers[ANN], marketers[BOB]
    before = {name: served(stack, name)[0] for name in READ}

    # Ann tunes: the preview follows, and unsaved numbers survive a reload.
    ann.goto(f"{stack.url}/admin/features/weightset/1/studio/")
    expect(ann.locator("#fh-preview [data-ready]")).to_be_visible(timeout=60_000)
    mean = ann.locator("[data-figure=mean]").inner_text()
    ann.get_by_label("weight purchase, slider").fill("0.75")
    expect(ann.locator("[data-figure=mean]")).not_to_have_text(mean)
    ann.locator("#id_norm_login").fill("12")
    expect(ann.locator("#fh-preview")).to_contain_text("a sample of 100,000 out of")
    ann.reload()
    expect(ann.get_by_text("Your unsaved numbers are back.")).to_be_visible()
    expect(ann.locator("#id_weight_purchase")).to_have_value("0.75")
    expect(ann.locator("#fh-preview [data-ready]")).to_be_visible()
    shot(ann, "studio")
    ann.locator("#id_norm_page_view").fill("0")
    expect(ann.locator("#id_norm_page_view_error")).to_have_text("A norm is greater than 0.")
    ann.locator("#id_norm_page_view").fill("80")
    ann.get_by_label("Name").fill("Purchases first")
    ann.get_by_label("Why?").fill("Sales should call buyers first")
    ann.get_by_role("button", name="Save as a new draft").click()
    expect(ann.get_by_text("is saved as a draft")).to_be_visible()
    expect(ann.locator("#fh-restored")).to_be_hidden()

    # She backtests it on the demo customers' past, and proposes it.
    change = re.sub(r"studio/.*", "change/", ann.url)
    ann.goto(change)
    ann.get_by_role("link", name="Backtest", exact=True).click()
    ann.get_by_role("button", name="Start the backtest").click()
    expect(ann.get_by_role("heading", name="Lift by tenth of the customers")).to_be_visible(timeout=120_000)
    shot(ann, "backtest")
    ann.goto(change)
    take_step(ann, button="Propose", confirm="Propose this set", why="The backtest is no worse")
    expect(ann.get_by_text("is proposed")).to_be_visible()

    # Bob approves and activates, and watches the re-score.
    bob.goto(change)
    take_step(bob, button="Approve", confirm="Approve this set", why="I checked the movers")
    shot(bob, "approved")
    take_step(bob, button="Activate now", confirm="Activate and re-score all customers", why="For the autumn campaign")
    watch_the_rescoring(bob, shot=shot, name="rescoring")
    active = int(change.split("/")[-3])
    assert fingerprint(stack) != customers
    after = {name: served(stack, name) for name in READ}
    assert {weight_set for _, weight_set in after.values()} == {active}
    assert {name: score for name, (score, _) in after.items()} != before

    # Ann opens the set's page later and sees that it is active.
    ann.goto(f"{change.removesuffix('change/')}step/activate/")
    expect(ann.get_by_text("there is nothing to do here")).to_be_visible()

    # Rolled back, every score is what it was, bit for bit.
    bob.goto(f"{stack.url}/admin/features/weightset/1/change/")
    take_step(bob, button="Roll back to this set", confirm="Roll back and re-score all customers", why="Too few calls")
    watch_the_rescoring(bob, shot=shot, name="rolling-back")
    assert fingerprint(stack) == customers
    assert {name: served(stack, name)[0] for name in READ} == before
    bob.goto(f"{stack.url}/admin/features/weightset/")
    expect(bob.get_by_role("link", name="Back to First weights")).to_be_visible()
    shot(bob, "list")


def test_the_studio_fits_a_phone(stack: Stack, customers: str, admin_page: Page, shot: Shot) -> None:
    admin_page.set_viewport_size({"width": 375, "height": 800})
    for path in ("1/studio/", "1/change/", "1/backtests/", "compare/"):
        admin_page.goto(f"{stack.url}/admin/features/weightset/{path}")
        admin_page.wait_for_load_state("networkidle")
        assert admin_page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
    admin_page.goto(f"{stack.url}/admin/features/weightset/1/studio/")
    expect(admin_page.locator("#fh-preview [data-ready]")).to_be_visible(timeout=60_000)
    shot(admin_page, "studio-phone")


def test_the_sliders_are_moved_with_the_keyboard(stack: Stack, customers: str, admin_page: Page) -> None:
    admin_page.goto(f"{stack.url}/admin/features/weightset/1/studio/")
    expect(admin_page.locator("#fh-preview [data-ready]")).to_be_visible(timeout=60_000)
    slider = admin_page.get_by_label("weight login, slider")
    slider.focus()
    admin_page.keyboard.press("End")
    expect(admin_page.locator("#id_weight_login")).to_have_value("1.00")
    expect(admin_page.get_by_role("status").filter(has_text="The mean score would be")).to_be_visible()
