"""Charts of the admin: the data that the browser draws, and the table behind them."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.template import Context, Template

from featurehub.admin.chart import Axis, Chart, ChartMark, ChartSeries, ReferenceLine

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def lift() -> Chart:
    return Chart(
        kind="points",
        title="Lift by tenth",
        x=Axis(label="Tenth"),
        y=Axis(label="Lift", unit="×", decimals=2),
        labels=["1", "2"],
        series=[
            ChartSeries(name="Active", role="before", values=[1.4, 0.6], lows=[1.2, 0.5], highs=[1.6, 0.7]),
            ChartSeries(name="Tried", role="after", values=[1.5, None], lows=[1.3, None], highs=[1.7, None]),
        ],
        lines=[ReferenceLine(value=1, label="1×: as everybody")],
    )


def over_time(*moments: datetime) -> Chart:
    return Chart(
        kind="line", title="Values", labels=moments, series=[ChartSeries(name="Value", values=[1.0] * len(moments))]
    )


def rendered(text: str, **context: object) -> str:
    return Template("{% load charts %}" + text).render(Context(context))


def test_a_chart_is_json() -> None:
    data = json.loads(json.dumps(lift().as_json()))
    assert data["kind"] == "points"
    assert data["labels"] == ["1", "2"]
    assert data["series"][0]["lows"] == [1.2, 0.5]
    assert data["lines"] == [{"value": 1, "label": "1×: as everybody"}]
    assert data["head"] == ["Tenth", "Active", "Tried"]


def test_values_are_written_with_their_unit_and_interval() -> None:
    active, tried = lift().as_json()["series"]
    assert active["texts"] == ["1.40× (1.20× to 1.60×)", "0.60× (0.50× to 0.70×)"]
    assert tried["texts"][1] == "–"


@pytest.mark.parametrize(
    ("axis", "value", "text"),
    [
        (Axis(unit="events", unit_of_one="event"), 1, "1 event"),
        (Axis(unit="events", unit_of_one="event"), 1234, "1,234 events"),
        (Axis(unit="%"), 12.3, "12.3 %"),
        (Axis(decimals=2), 67.4512, "67.45"),
        (Axis(decimals=2), 0, "0.00"),
        (Axis(), 0.123456, "0.1235"),
        (Axis(), None, "–"),
    ],
)
def test_a_value_reads_as_people_write_it(axis: Axis, value: float | None, text: str) -> None:
    assert axis.text(value) == text


def test_midnights_are_dates_and_other_moments_have_a_time() -> None:
    midnight = NOON - timedelta(hours=12)
    assert over_time(midnight, midnight + timedelta(days=1)).label_texts() == ["26 Nov 2026", "27 Nov 2026"]
    assert over_time(midnight, NOON).label_texts() == ["26 Nov 2026, 00:00", "26 Nov 2026, 12:00"]
    assert over_time(NOON + timedelta(seconds=5)).label_texts() == ["26 Nov 2026, 12:00:05"]


def test_moments_are_told_in_utc() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    assert over_time(elsewhere).label_texts() == ["26 Nov 2026, 12:00"]
    assert over_time(elsewhere).as_json()["moments"] == [round(NOON.timestamp() * 1000)]
    assert over_time(elsewhere).table_head()[0] == "Time (UTC)"


def test_plain_series_have_colours_of_their_own() -> None:
    series = [ChartSeries(name=name, values=[1]) for name in ("median", "95th percentile", "99th percentile")]
    chart = Chart(kind="line", title="Latency", labels=["a"], series=series)
    assert chart.colours() == ["plain", "plain-2", "plain-3"]


@pytest.mark.parametrize("part", [{"values": [1]}, {"values": [1, 2], "lows": [1]}, {"values": [1, 2], "roles": ["x"]}])
def test_a_series_has_a_value_for_each_label(part: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="each of the 2 labels"):
        Chart(kind="bar", title="Wrong", labels=["a", "b"], series=[ChartSeries(name="x", **part)])  # type: ignore[arg-type]


def test_a_chart_is_rendered_with_its_table_legend_and_lines() -> None:
    page = rendered("{% chart chart level=2 %}", chart=lift())
    assert "<h2>Lift by tenth</h2>" in page
    assert '<span class="hub-key hub-role-before" aria-hidden="true"></span>Active' in page
    assert '<th scope="row">1</th><td>1.40× (1.20× to 1.60×)</td><td>1.50× (1.30× to 1.70×)</td>' in page
    assert "A line at 1: 1×: as everybody" in page
    assert "style=" not in page


def test_no_text_of_a_chart_leaves_its_element() -> None:
    bad = "</script><script>alert(1)</script>"
    series = [ChartSeries(name=bad, values=[1])]
    page = rendered("{% chart chart %}", chart=Chart(kind="bar", title=bad, labels=[bad], series=series, notes=[bad]))
    assert "<script>alert" not in page


def test_one_series_needs_no_legend() -> None:
    assert 'data-part="legend" hidden' in rendered("{% chart chart %}", chart=over_time(NOON))


def test_labels_lead_where_links_are_given() -> None:
    chart = Chart(
        kind="dumbbell", title="Movers", labels=["ada"], links=["/ada/"], notes=["3 × purchase"],
        series=[ChartSeries(name=name, role=name, values=[0.5]) for name in ("before", "after")],
    )  # fmt: skip
    page = rendered("{% chart chart %}", chart=chart)
    assert '<a class="hub-link" href="/ada/">ada</a>' in page
    assert '<td class="hub-note-cell">3 × purchase</td>' in page


def test_a_refreshing_chart_says_where_from_and_how_often() -> None:
    page = rendered('{% chart chart refresh_url="/now/" seconds=10 %}', chart=over_time(NOON))
    assert 'data-refresh-url="/now/" data-seconds="10"' in page


def test_marks_have_a_place_and_a_text() -> None:
    moment, label = ChartMark(at=NOON, label="weights #2"), ChartMark(at="b", label="cut")
    assert moment.as_json() == {"at": 1795694400000, "label": "weights #2", "text": "26 Nov 2026, 12:00"}
    assert label.as_json() == {"at": "b", "label": "cut", "text": "b"}


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([0, 1, 0.5], "M0.0 22.0 L50.0 2.0 L100.0 12.0"),
        ([1, None, 1], "M0.0 12.0 M100.0 12.0"),
        ([3], "M0.0 12.0H100"),
        ([], ""),
    ],
)
def test_a_sparkline_goes_through_its_values(values: list[float | None], path: str) -> None:
    assert f'd="{path}"' in rendered('{% sparkline values label="Mean" %}', values=values)


def test_a_sparkline_is_named() -> None:
    assert 'aria-label="Mean: 0.5 to 0.75"' in rendered('{% sparkline values label="Mean" %}', values=[0.5, None, 0.75])
    assert 'aria-label="Mean: no values"' in rendered('{% sparkline values label="Mean" %}', values=[])
