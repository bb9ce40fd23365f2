"""The studio's chart is in sight at every slider, and a save that fails leads to what failed; desktop and phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
STUDIO = "/admin/features/weightset/1/studio/"
# The slider comes to the middle of the window. In sight is what lies in the window with nothing in front of it, at its
# middle and, of the chart, near its four corners, too.
HIDDEN = """() => {
    const canvas = document.querySelector("#fh-preview-chart canvas");
    const isInSight = (element, places) => {
        const { left, top, width, height } = element.getBoundingClientRect();
        return places.every(([x, y]) => {
            const found = document.elementFromPoint(left + x * width, top + y * height);
            return found !== null && (element.contains(found) || element.parentElement.contains(found));
        });
    };
    const corners = [[0.5, 0.5], [0.02, 0.02], [0.98, 0.02], [0.02, 0.98], [0.98, 0.98]];
    return Array.from(document.querySelectorAll("#fh-studio input[type=range]")).flatMap((slider) => {
        slider.scrollIntoView({ block: "center" });
        slider.focus({ preventScroll: true });
        return [
            ...(isInSight(slider, [[0.5, 0.5]]) ? [] : [`the slider ${slider.getAttribute("aria-label")}`]),
            ...(isInSight(canvas, corners) ? [] : [`the chart at ${slider.getAttribute("aria-label")}`]),
        ];
    });
}"""

IS_IN_FRONT = """selector => {
    const field = document.querySelector(selector);
    const { left, top } = field.getBoundingClientRect();
    return document.elementFromPoint(left + 8, top + 8) === field;
}"""


@pytest.fixture(params=SIZES)
def studio(request: pytest.FixtureRequest, admin_page: Page, stack: Stack, artefacts: Path) -> Iterator[Page]:
    """Return the studio with its first preview, in a window of each size; a screenshot is taken at the end."""
    width, height = SIZES[request.param]
    admin_page.set_viewport_size({"width": width, "height": height})
    admin_page.goto(f"{stack.url}{STUDIO}")
    expect(admin_page.locator("#fh-preview-chart canvas")).to_be_visible(timeout=60_000)
    yield admin_page
    admin_page.screenshot(path=artefacts / f"{request.function.__name__[5:40]}-{request.param}.png")


def test_the_chart_is_in_sight_at_every_slider(studio: Page) -> None:
    assert studio.locator("#fh-studio input[type=range]").count() == 14
    assert studio.evaluate(HIDDEN) == []
    # It still follows them there.
    mean = studio.locator("[data-figure=mean]")
    before = mean.inner_text()
    studio.get_by_label("weight login, slider").press("End")
    expect(mean).not_to_have_text(before)
    assert studio.evaluate(HIDDEN) == []


@pytest.mark.parametrize(
    ("number", "name", "failed"),
    [("0", "A new set", "#id_norm_purchase"), ("30", "", "#id_name")],
    ids=["a number", "the name"],
)
def test_a_save_that_fails_scrolls_to_what_failed_and_focuses_it(
    studio: Page, number: str, name: str, failed: str
) -> None:
    studio.locator("#id_norm_purchase").fill(number)
    studio.get_by_label("Name").fill(name)
    studio.get_by_label("Why?").fill("To see what happens")
    studio.get_by_role("button", name="Save as a new draft").click()
    expect(studio.locator("#fh-not-saved")).to_contain_text("Not saved")
    expect(studio.locator(failed)).to_be_focused()
    # It still is when the preview has come, or is known not to come.
    expect(studio.locator("#fh-status")).not_to_have_text("Computing …", timeout=60_000)
    studio.wait_for_function(IS_IN_FRONT, arg=failed)
    expect(studio.locator(failed)).to_be_in_viewport(ratio=1)
