"""The charts of a customer's page."""

from datetime import UTC, datetime, timedelta

from features.admin.customers.charts import ScorePoint, contributions_chart, score_chart

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = [
    {"event_type": "page_view", "contribution": 0.9},
    {"event_type": "email_open", "contribution": 0.0},
    {"event_type": "login", "contribution": 0.3},
]


def test_the_contributions_lead_to_the_score_and_the_cap_is_marked() -> None:
    chart = contributions_chart(ROWS, score=1.0)
    assert chart.labels == ["page view", "login", "score"]
    assert list(chart.series[0].values) == [0.9, 0.3, 1.0]
    assert list(chart.series[0].roles) == ["page_view", "login", "total"]
    assert [line.value for line in chart.lines] == [1]


def test_no_points_make_no_chart() -> None:
    assert score_chart([], until=START) is None


def test_a_score_holds_until_now_and_other_weights_are_marked() -> None:
    points = [
        ScorePoint(moment=START, value=0.25, weight_set=1),
        ScorePoint(moment=START + timedelta(hours=1), value=1.0, weight_set=2),
        ScorePoint(moment=START + timedelta(hours=2), value=0.0, weight_set=2),
    ]
    chart = score_chart(points, until=START + timedelta(hours=4))
    assert chart is not None
    assert chart.label_texts()[-1] == "1 Jan 2026, 04:00"
    assert list(chart.series[0].values) == [0.25, 1.0, 0.0, 0.0]
    assert [(mark.at, mark.label) for mark in chart.marks] == [(START + timedelta(hours=1), "weights #2")]
