"""The charts of the Overview, each made from time series or from a sample at a cost that does not grow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from featurehub.admin.chart import Axis, Chart, ChartSeries
from featurehub.lib.row_estimate import estimate_rows
from featurehub.lib.traffic import AGE_AT_READ, AGE_BOUNDS, READS, REQUEST_BOUNDS, REQUESTS
from features.admin.event_series import event_series
from features.admin.overview.past import CHART_DAYS, counted_each_minute, measured, minutes_of, tallies_of
from features.monitoring import overview
from features.monitoring.event_counts import events_by_type
from features.monitoring.measuring import ACTIVE_CUSTOMERS, DUE_MARKS
from features.monitoring.score_distribution import RANGES, scores_over_a_week
from features.monitoring.series import Resolution, quantile

# Of a second.
MINUTES, MILLISECONDS = 1 / 60, 1_000.0
OUTCOMES = {"answered": "23", "refused (4xx)": "4", "failed (5xx)": "5"}
SOURCES = (("from Redis (hits)", "cache", "after"), ("from PostgreSQL (fallbacks)", "database", "before"))
Y_EVENTS = Axis(label="Events", unit="events", unit_of_one="event", decimals=0)
Y_CUSTOMERS = Axis(label="Customers", unit="customers", unit_of_one="customer", decimals=0)
Y_REQUESTS = Axis(label="Requests", unit="requests", unit_of_one="request", decimals=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewChart:
    """A chart, what it shows in a sentence, and what to say while it has nothing to show."""

    chart: Chart
    note: str
    empty: str
    is_empty: bool


# --- Three shapes over time -----------------------------------------------------------------------------------------


def counted_over_time(
    title: str, *, moments: Sequence[datetime], series: Sequence[ChartSeries], y: Axis, note: str, empty: str
) -> OverviewChart:
    """Return the chart of what was counted, stacked; it is empty where all numbers are 0."""
    return OverviewChart(
        chart=Chart(kind="stacked", title=title, labels=moments, series=series, y=y),
        note=note,
        empty=empty,
        is_empty=not any(number for each in series for number in each.values),
    )


def measured_over_time(
    title: str, *, measurement: str, resolution: Resolution, current: int, series: str, note: str, now: datetime
) -> OverviewChart:
    """Return the line of a number of customers that is measured once a minute, with the current one at its end."""
    moments, values = measured(measurement, now=now, resolution=resolution)
    return OverviewChart(
        chart=Chart(
            kind="line",
            title=title,
            labels=[*moments, now],
            series=[ChartSeries(name=series, values=[*values, float(current)])],
            y=Y_CUSTOMERS,
        ),
        note=note,
        empty="Measured once a minute from now on.",
        is_empty=all(value is None for value in values),
    )


def quantiles_over_time(
    title: str, *, counted: str, bounds: tuple[float, ...], shares: Mapping[str, float], factor: float, y: Axis,
    note: str, empty: str, now: datetime,
) -> OverviewChart:  # fmt: skip
    """Return a line for each share: the value below which it lies in each minute of the last hour, times a factor."""
    minutes, tallies = tallies_of(counted, now=now)
    series = []
    for name, share in shares.items():
        found = [quantile(share, buckets=tally.buckets, bounds=bounds) for tally in tallies]
        series.append(ChartSeries(name=name, values=[None if value is None else value * factor for value in found]))
    return OverviewChart(
        chart=Chart(kind="line", title=title, labels=minutes, series=series, y=y),
        note=note,
        empty=empty,
        is_empty=not any(tally.count for tally in tallies),
    )


# --- The charts -----------------------------------------------------------------------------------------------------


def events_each_minute(now: datetime) -> OverviewChart:
    minutes = minutes_of(now)
    found = events_by_type(resolution=Resolution.MINUTE, since=minutes[0], now=now)
    return counted_over_time(
        "Events per minute",
        moments=minutes,
        series=event_series(found, places=minutes),
        y=Y_EVENTS,
        note="The last hour by event type, by event time.",
        empty="No event happened in the last hour.",
    )


def events_each_day(now: datetime) -> OverviewChart:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=back) for back in reversed(range(CHART_DAYS))]
    found: dict[str, dict[datetime, int]] = {}
    for event_type, hours in events_by_type(resolution=Resolution.HOUR, since=days[0], now=now).items():
        per_day = found[event_type] = dict.fromkeys(days, 0)
        for hour, number in hours.items():
            per_day[hour.replace(hour=0)] += number
    return counted_over_time(
        "Events per day",
        moments=days,
        series=event_series(found, places=days),
        y=Y_EVENTS,
        note=f"The last {CHART_DAYS} days by event type, by event time, in UTC.",
        empty="No event happened in these days.",
    )


def scores(now: datetime) -> OverviewChart:
    """Return the chart of both distributions; it is drawn anew every five minutes."""
    found = scores_over_a_week.get()
    before, today = found.a_week_ago, found.today
    drawn = "all customers" if found.is_everybody else f"{today.customers:,} random customers"
    note = f"Shares of {drawn}, today and a week ago. Refreshed every five minutes."
    if today.customers and not before.customers:
        note = f"Shares of {drawn}, today. No score of the live version was there a week ago."
    weeks = [ChartSeries(name="a week ago", values=list(before.shares), role="before")] if before.customers else []
    return OverviewChart(
        chart=Chart(
            kind="bar",
            title="Engagement scores, today and a week ago",
            labels=[f"{low / RANGES:.1f}" for low in range(RANGES)],
            series=[*weeks, ChartSeries(name="today", values=list(today.shares), role="after")],
            x=Axis(label="Engagement score, from this to 0.1 above"),
            y=Axis(label="Share of customers", unit="%", decimals=1),
        ),
        note=note,
        empty="No customer has a score yet.",
        is_empty=not today.customers,
    )


def active_over_time(now: datetime) -> OverviewChart:
    return measured_over_time(
        "Active customers",
        measurement=ACTIVE_CUSTOMERS,
        resolution=Resolution.HOUR,
        current=estimate_rows(overview.with_events_in_the_window()).number,
        series="active customers",
        note=f"Customers with an event in the window, by hour, in the last {CHART_DAYS} days.",
        now=now,
    )


def age_at_read(now: datetime) -> OverviewChart:
    return quantiles_over_time(
        "Age of values when they are read",
        counted=AGE_AT_READ,
        bounds=AGE_BOUNDS,
        shares={"half are younger than": 0.5, "95 % are younger than": 0.95},
        factor=MINUTES,
        y=Axis(label="Age", unit="min"),
        note="Time since the values were computed, of a sample of the reads of the last hour.",
        empty="No values were read in the last hour.",
        now=now,
    )


def cache_hits(now: datetime) -> OverviewChart:
    minutes, found = counted_each_minute(READS, place=0, now=now)
    return counted_over_time(
        "Reads from Redis and from PostgreSQL",
        moments=minutes,
        series=[
            ChartSeries(name=name, values=[found[source].get(each, 0) for each in minutes], role=role)
            for name, source, role in SOURCES
        ],
        y=Y_CUSTOMERS,
        note="Customers read through the API per minute in the last hour, by where their values came from.",
        empty="No customer was read in the last hour.",
    )


def requests(now: datetime) -> OverviewChart:
    minutes, found = counted_each_minute(REQUESTS, place=2, now=now)
    series = [
        ChartSeries(
            name=name,
            values=[
                sum(each.get(minute, 0) for code, each in found.items() if code[0] in digits) for minute in minutes
            ],
            role=role,
        )
        for (name, digits), role in zip(OUTCOMES.items(), ("after", "before", "purchase"), strict=True)
    ]
    return counted_over_time(
        "API requests per minute",
        moments=minutes,
        series=series,
        y=Y_REQUESTS,
        note="The last hour, by outcome. 429 (limits) is among the refused.",
        empty="No request came in the last hour.",
    )


def latency(now: datetime) -> OverviewChart:
    return quantiles_over_time(
        "Time of API requests",
        counted=REQUESTS,
        bounds=REQUEST_BOUNDS,
        shares={"median": 0.5, "99th percentile": 0.99},
        factor=MILLISECONDS,
        y=Axis(label="Time", unit="ms"),
        note="Within FeatureHub, without the network, per minute of the last hour; estimated from a histogram.",
        empty="No request came in the last hour.",
        now=now,
    )


def waiting_customers(now: datetime) -> OverviewChart:
    return measured_over_time(
        "Backlog",
        measurement=DUE_MARKS,
        resolution=Resolution.MINUTE,
        current=overview.backlog(now=now).due.number,
        series="waiting",
        note="Customers whose newest events are not in their features yet, in the last hour.",
        now=now,
    )


# In the order of the page, with the seconds between two refreshes.
CHARTS: Mapping[str, tuple[Callable[[datetime], OverviewChart], int]] = {
    "events-per-minute": (events_each_minute, 10),
    "events-per-day": (events_each_day, 60),
    "scores": (scores, 300),
    "active-customers": (active_over_time, 60),
    "requests": (requests, 10),
    "latency": (latency, 10),
    "reads": (cache_hits, 10),
    "age-at-read": (age_at_read, 30),
    "backlog": (waiting_customers, 10),
}
