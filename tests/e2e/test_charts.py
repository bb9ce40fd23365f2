"""Charts in a real browser, under the admin's content policy: drawn, read by keyboard, refreshed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.template import Context, Template
from playwright.sync_api import Page, expect

from featurehub.admin.chart import Axis, Chart, ChartMark, ChartSeries, ReferenceLine

START = datetime(2026, 11, 24, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(48)]
TENTHS = ["1 (highest)", *(str(number) for number in range(2, 10)), "10 (lowest)"]
COUNTS = Axis(label="Events", unit="events", unit_of_one="event")
SCORE = Axis(label="Score", decimals=2, maximum=1)


def two(before: list[float], after: list[float]) -> list[ChartSeries]:
    return [
        ChartSeries(name="Before", role="before", values=before),
        ChartSeries(name="After", role="after", values=after),
    ]


CHARTS = [
    Chart(
        kind="line",
        title="Requests",
        y=Axis(label="Latency", unit="ms", decimals=1),
        labels=HOURS,
        series=[
            ChartSeries(name=name, values=[base + hour % 7 for hour in range(48)])
            for name, base in (("median", 2), ("95th percentile", 9))
        ],
    ),
    Chart(
        kind="step",
        title="Score over time",
        y=SCORE,
        labels=HOURS,
        series=[ChartSeries(name="Score", values=[0.3 + (hour // 8) * 0.07 for hour in range(48)])],
        marks=[ChartMark(at=HOURS[11], label="weights #2"), ChartMark(at=HOURS[12], label="weights #3")],
        lines=[ReferenceLine(value=0.5, label="threshold")],
    ),
    Chart(
        kind="stacked",
        title="Events by type",
        y=COUNTS,
        labels=HOURS,
        series=[
            ChartSeries(name=name.replace("_", " "), role=name, values=[(hour * step) % 9 for hour in range(48)])
            for step, name in ((2, "page_view"), (3, "email_open"), (5, "purchase"))
        ],
    ),
    Chart(
        kind="bar",
        title="Histogram",
        y=Axis(label="Customers"),
        labels=TENTHS,
        series=two([4, 9, 6, 3, 2, 2, 1, 1, 0, 1], [2, 5, 9, 5, 3, 2, 1, 1, 1, 0]),
    ),
    Chart(
        kind="horizontal",
        title="By category",
        x=Axis(label="Category"),
        y=Axis(label="Customers", unit="customers"),
        labels=["Books and other printed things", "Music", "Toys"],
        series=[ChartSeries(name="Customers", values=[120, 44, 8])],
    ),
    Chart(
        kind="waterfall",
        title="Why it changed",
        y=SCORE,
        labels=["Monday", "page view", "email click", "purchase", "weights", "Friday"],
        series=[ChartSeries(name="Score", values=[0.4, 0.2, -0.1, 0.3, -0.05, 0.75])],
    ),
    Chart(
        kind="dumbbell",
        title="Biggest movers",
        x=Axis(label="Customer"),
        y=SCORE,
        labels=["ada@example.com", "grace", "customer-0001"],
        series=two([0.2, 0.9, 0.4], [0.7, 0.4, 0.45]),
        links=["#ada", "#grace", "#c1"],
        notes=["5 × purchase +0.50", "", "1 × login +0.05"],
    ),
    Chart(
        kind="points",
        title="Lift by tenth",
        x=Axis(label="Tenth of customers"),
        y=Axis(label="Lift", unit="×", decimals=2),
        labels=TENTHS,
        series=[
            ChartSeries(
                name=name,
                role=role,
                values=[lift * factor for lift in range(10, 0, -1)],
                lows=[lift * factor * 0.8 for lift in range(10, 0, -1)],
                highs=[lift * factor * 1.2 for lift in range(10, 0, -1)],
            )
            for name, role, factor in (("Active", "before", 0.2), ("Tried", "after", 0.25))
        ],
        lines=[ReferenceLine(value=1, label="1×: as everybody")],
    ),
    Chart(
        kind="points",
        title="Calibration",
        x=Axis(label="Mean score", maximum=1),
        y=Axis(label="Bought", unit="%", decimals=1),
        labels=TENTHS,
        series=[
            ChartSeries(
                name="Active", role="before", values=list(range(1, 11)), at=[0.09 * tenth for tenth in range(1, 11)]
            )
        ],
    ),
]


def rendered(chart: Chart, *, refresh_url: str = "") -> str:
    template = Template("{% load charts %}{% chart chart level=2 refresh_url=url seconds=1 %}")
    return template.render(Context({"chart": chart, "url": refresh_url}))


def show(page: Page, *parts: str) -> None:
    """Put the charts on the page, as a part of it that comes later."""
    page.evaluate("html => { document.getElementById('content').innerHTML = html; }", "<br>".join(parts))


def drawn_colours(page: Page, number: int) -> int:
    """Return how many colours the canvas has: an empty one has one."""
    return int(
        page.locator("canvas").nth(number).evaluate(
            "canvas => new Set(new Uint32Array("
            "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
        )
    )  # fmt: skip


@pytest.mark.parametrize(("device", "width", "height"), [("desktop", 1440, 900), ("phone", 390, 844)])
def test_every_kind_is_drawn_light_and_dark(
    admin_page: Page, artefacts: Path, device: str, width: int, height: int
) -> None:
    admin_page.set_viewport_size({"width": width, "height": height})
    show(admin_page, *map(rendered, CHARTS))
    for theme in ("light", "dark"):
        admin_page.evaluate("theme => document.documentElement.classList.toggle('dark', theme === 'dark')", theme)
        admin_page.wait_for_timeout(200)
        assert all(drawn_colours(admin_page, number) > 3 for number in range(len(CHARTS)))
        admin_page.screenshot(path=artefacts / f"charts-{device}-{theme}.png", full_page=True)
    assert admin_page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_arrow_keys_read_the_points_aloud_and_enter_follows_a_link(admin_page: Page) -> None:
    movers = next(chart for chart in CHARTS if chart.kind == "dumbbell")
    show(admin_page, rendered(movers))
    plot, said = admin_page.locator("[data-part=plot]"), admin_page.locator("[data-part=read]")
    plot.focus()
    plot.press("ArrowDown")
    expect(said).to_have_text("ada@example.com. Before: 0.20. After: 0.70. 5 × purchase +0.50")
    plot.press("ArrowDown")
    expect(said).to_have_text("grace. Before: 0.90. After: 0.40")
    plot.press("End")
    plot.press("ArrowRight")
    expect(said).to_contain_text("customer-0001")
    plot.press("Home")
    plot.press("Enter")
    admin_page.wait_for_url("**/#ada")


def test_a_chart_refreshes_itself_and_says_when_it_can_not(admin_page: Page) -> None:
    later = Chart(kind="bar", title="Later", labels=["a", "b"], series=two([1, 2], [3, 4]))
    # Each is the answer until the page has shown it, however slow the browser is.
    answers = [(200, json.dumps(CHARTS[4].as_json())), (200, json.dumps(later.as_json())), (500, "")]
    admin_page.route("**/refreshed/", lambda route: route.fulfill(status=answers[0][0], body=answers[0][1]))
    show(admin_page, rendered(CHARTS[4], refresh_url="/refreshed/"))
    expect(admin_page.locator(".hub-data tbody")).to_contain_text("Music")
    del answers[0]
    expect(admin_page.locator(".hub-data tbody tr").first).to_have_text("a13")
    expect(admin_page.locator(".hub-legend li")).to_have_text(["Before", "After"])
    del answers[0]
    expect(admin_page.locator("[data-part=status]")).to_contain_text("Not refreshed since")
