"""An operator defines a feature without a deploy, previews it, and takes its version live and back, in a browser."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Stack, log_in
from tests.e2e.test_admin import NARROW, best_customer, scrolls_sideways

ADD = "/admin/features/featuredefinition/add/"
VERSIONS = "/admin/features/featureversion/"
NAME = "bought_lately"
MILLISECONDS_TO_COMPUTE = 120_000
# Each process knows of a new version after 5 s at most; few customers are computed sooner.
SECONDS_UNTIL_KNOWN = 10.0


def fill_in_a_window(page: Page, *, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.locator("[name=kind]").select_option("sum")
    page.locator("[name=metadata_key]").fill("amount")
    page.locator("[name=event_type]").select_option("purchase")
    page.locator("[name=window_hours]").fill("90d")


def take_step(page: Page, *, link: str, button: str, why: str) -> None:
    page.get_by_role("link", name=link, exact=True).click()
    page.get_by_label("Why?").fill(why)
    page.get_by_role("button", name=button).click()


def read(stack: Stack, *, version: str | None = None) -> tuple[dict[str, float], str]:
    """Return the demo customer's values, and the behavioral version that they are of."""
    names = {"names": f"{NAME},purchases_30d", **({"version": version} if version else {})}
    path = f"/api/v1/customers/{best_customer(stack)}/features/"
    with stack.api() as client:
        answer = client.get(path, params=names)
        end = time.monotonic() + SECONDS_UNTIL_KNOWN
        while answer.status_code == 404 and time.monotonic() < end:
            time.sleep(0.1)
            answer = client.get(path, params=names)
    assert answer.status_code == 200, answer.text
    return answer.json()["features"], answer.json()["versions"]["behavioral"]


def test_the_fields_follow_the_type(stack: Stack, admin_page: Page) -> None:
    admin_page.goto(stack.url + ADD)
    expect(admin_page.locator("[name=window_hours]")).to_be_visible()
    expect(admin_page.locator("[name=metadata_key]")).to_be_hidden()
    admin_page.locator("[name=kind]").select_option("max")
    expect(admin_page.locator("[name=metadata_key]")).to_be_visible()
    expect(admin_page.locator("[name=half_life_days]")).to_be_hidden()
    admin_page.locator("[name=feature_type]").select_option("derived")
    expect(admin_page.locator("[name=expression]")).to_be_visible()
    expect(admin_page.locator("[name=window_hours]")).to_be_hidden()
    expect(admin_page.locator("[name=version_derived]")).to_be_visible()
    admin_page.locator("[name=feature_type]").select_option("customer")
    expect(admin_page.get_by_role("button", name="Preview on a sample")).to_be_hidden()
    expect(admin_page.locator("[name=version_customer]")).to_be_visible()


def test_what_cannot_be_computed_is_said_before_it_is_saved(stack: Stack, admin_page: Page) -> None:
    admin_page.goto(stack.url + ADD)
    admin_page.get_by_label("Name").fill("nonsense")
    admin_page.locator("[name=feature_type]").select_option("derived")
    admin_page.locator("[name=expression]").fill("recency_scor * 2")
    admin_page.get_by_role("button", name="Preview on a sample").click()
    expect(admin_page.locator("[data-problems]")).to_contain_text("Did you mean recency_score?")
    admin_page.locator("[name=expression]").fill("recency_score * 2")
    admin_page.get_by_role("button", name="Preview on a sample").click()
    expect(admin_page.locator("[data-ready]")).to_contain_text("Computed from other features: recency_score * 2")


@pytest.mark.timeout(600)
def test_a_feature_goes_from_a_form_to_readers_and_back(stack: Stack, admin_page: Page, artefacts: Path) -> None:
    # Define and preview; that saves nothing.
    admin_page.goto(stack.url + ADD)
    fill_in_a_window(admin_page, name=NAME)
    admin_page.get_by_role("button", name="Preview on a sample").click()
    shown = admin_page.locator("[data-ready]")
    expect(shown).to_contain_text("Sum of amount of purchase events over 90 days")
    expect(shown.locator("[data-figure=above]")).to_contain_text("%")
    expect(shown.get_by_role("application").first).to_be_visible()
    admin_page.screenshot(path=artefacts / "definition-preview.png", full_page=True)
    features, version = read(stack)
    assert (features[NAME], version) == (0.0, "1.0")

    # Save it into a draft, and put that into shadow: everybody's values are computed.
    admin_page.get_by_role("button", name="Save", exact=True).click()
    admin_page.wait_for_url("**/featureversion/*/change/")
    number = admin_page.get_by_role("heading", name=re.compile("behavioral:")).inner_text().removeprefix("behavioral:")
    admin_page.get_by_role("link", name="Put into shadow", exact=True).click()
    admin_page.get_by_label("Compute its past from").fill("")
    admin_page.get_by_label("Why?").fill("To compare")
    admin_page.get_by_role("button", name="Put this version into shadow").click()
    expect(admin_page.get_by_role("link", name="Go live", exact=True)).to_be_visible()
    expect(admin_page.locator('[data-run][data-state="running"]')).to_have_count(0, timeout=MILLISECONDS_TO_COMPUTE)
    features, version = read(stack, version=f"behavioral:{number}")
    assert version == number
    assert features[NAME] > 0
    assert read(stack)[1] == "1.0"
    admin_page.screenshot(path=artefacts / "version-shadow.png", full_page=True)

    # Compare it with the live version.
    admin_page.get_by_role("link", name="Compare with behavioral:1.0").click()
    expect(admin_page.get_by_text("Shared features are identical.")).to_be_visible()
    expect(admin_page.get_by_role("heading", name=f"{NAME} in behavioral:{number} only")).to_be_visible()
    admin_page.screenshot(path=artefacts / "version-comparison.png", full_page=True)
    admin_page.go_back()

    # Take it live for everybody at one moment, and back.
    take_step(admin_page, link="Go live", button="Make this the live version", why="It is better")
    expect(admin_page.get_by_text("readers are switched in 10 seconds")).to_be_visible()
    wait_for_version(stack, admin_page, number)
    assert read(stack)[0] == features
    admin_page.goto(stack.url + VERSIONS)
    admin_page.get_by_role("link", name="behavioral:1.0", exact=True).click()
    take_step(admin_page, link="Back to live", button="Go back to this version", why="A try was all we wanted")
    wait_for_version(stack, admin_page, "1.0")

    # It was read, so a confirmation is needed to retire it.
    admin_page.goto(stack.url + VERSIONS)
    admin_page.get_by_role("link", name=f"behavioral:{number}", exact=True).click()
    take_step(admin_page, link="Retire", button="Retire this version", why="A try was all we wanted")
    expect(admin_page.get_by_text("was used in the last 7 days: read by tests at")).to_be_visible()
    admin_page.screenshot(path=artefacts / "version-retire.png")
    admin_page.get_by_label("Retire anyway").check()
    admin_page.get_by_role("button", name="Retire this version").click()
    expect(admin_page.get_by_text(f"behavioral:{number} is retired.")).to_be_visible()


def wait_for_version(stack: Stack, page: Page, number: str) -> None:
    """Wait until readers who name no version get this one."""
    for _ in range(150):
        if read(stack)[1] == number:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{read(stack)[1]} is live, not {number}.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_fit_a_phone(stack: Stack, browser: Browser, theme: str, artefacts: Path) -> None:
    context = browser.new_context(viewport=NARROW, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    log_in(page, stack)
    for name, path in {
        "definitions": "/admin/features/featuredefinition/",
        "definition-add": ADD,
        "versions": VERSIONS,
        "version-draft": f"{VERSIONS}draft/behavioral/",
        "version-alone": f"{VERSIONS}compare/contextual/",
    }.items():
        page.goto(stack.url + path)
        assert not scrolls_sideways(page), path
        page.screenshot(path=artefacts / f"{name}-375-{theme}.png", full_page=True)
    context.close()
