"""Segments of a list: customers, totals and means by category, by the values of a feature, or by ranges of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings

from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import brief
from features.serving.customer_lists import CustomerList, check_name, number_in_condition
from features.serving.list_pages import FIGURE, Figures, bounded_cursor

CATEGORY = "category"
WITHOUT_CATEGORY, WITHOUT_VALUE = "no category", "no value"
# The category of a customer is that of most events in the window, which have to be read: of so many customers at most.
MOST_CATEGORISED = 10_000
# A feature with no more values than this has a segment for each; others are divided at the quintiles.
VALUES_SHOWN = 12
SEGMENTS_SHOWN = 12
QUINTILES = (0.2, 0.4, 0.6, 0.8)

# Ordered by a hash of the id: the sample is the same every time, and independent of how ids are made.
BY_CATEGORY = """
with wanted as materialized (
    select * from ({rows}) listed order by hashtextextended(listed.id, 0) limit %(sampled)s
),
top as (
    select distinct on (customer_id) customer_id, category
    from (
        select customer_id, category, count(*) as events
        from wanted join events_event event on event.customer_id = wanted.id
        where event."timestamp" between %(oldest)s and %(as_of)s and event.category is not null
        group by customer_id, category
    ) counted
    order by customer_id, events desc, category
)
select top.category, count(*){figures} from wanted left join top on top.customer_id = wanted.id
group by top.category order by count(*) desc, top.category
"""
VALUES_OF = "select by_value from ({rows}) listed where by_value is not null group by 1 order by 1 limit %(values)s"
EDGES_OF = "select percentile_disc(array{quantiles}) within group (order by by_value) from ({rows}) listed"
BY_EDGES = """
select width_bucket(by_value, %(edges)s::float8[]) as place, count(*){figures} from ({rows}) listed
group by 1 order by 1 nulls last
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSegment:
    """Customers of a list that have something in common, and their figures."""

    name: str
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """The segments of a list; `sampled` is the number of customers they were made of, where that is not all."""

    segments: Sequence[ListSegment]
    sampled: int | None = None


def read_segments(asked: CustomerList, *, by: str, edges: Sequence[float] = ()) -> Segmentation:
    """Return the list by category or by a live feature, divided at `edges` where they are given.

    Raises InvalidError for a name that no live version has, and where it takes too long.
    """
    if by == CATEGORY:
        return segments_by_category(asked)
    check_name(by, layout=asked.layout)
    rows = rows_sql(asked, by=by)
    parameters = asked.parameters() | {"values": VALUES_SHOWN + 1}
    with bounded_cursor(asked) as cursor:
        values: Sequence[float] = ()
        if not edges:
            cursor.execute(VALUES_OF.format(rows=rows), parameters)
            values = [value for (value,) in cursor.fetchall()]
        if len(values) > VALUES_SHOWN:
            cursor.execute(EDGES_OF.format(rows=rows, quantiles=list(QUINTILES)), parameters)
            # Of a feature that is 0 for most, several quantiles are 0.
            edges = sorted({edge for edge in cursor.fetchone()[0] if edge > values[0]})
            values = ()
        cursor.execute(
            BY_EDGES.format(rows=rows, figures=figures_sql(asked)), parameters | {"edges": [*(values or edges)]}
        )
        found = [(place, figures_of(row)) for place, *row in cursor.fetchall()]
    names = [brief(value) for value in values] if values else ranges_in_words(edges)
    # `width_bucket` counts from 0 before the first edge; the first of the values is an edge itself.
    first = 1 if values else 0
    return Segmentation(
        segments=[
            ListSegment(name=WITHOUT_VALUE if place is None else names[place - first], figures=figures)
            for place, figures in found
        ]
    )


def segments_by_category(asked: CustomerList) -> Segmentation:
    """Return the list, or a sample of it, by the category that most of a customer's events in the window have."""
    as_of = datetime.fromtimestamp(asked.now_s, tz=UTC)
    parameters = asked.parameters() | {
        "sampled": MOST_CATEGORISED,
        "as_of": as_of,
        "oldest": as_of - timedelta(days=settings.WINDOW_DAYS),
    }
    with bounded_cursor(asked) as cursor:
        cursor.execute(BY_CATEGORY.format(rows=rows_sql(asked), figures=figures_sql(asked)), parameters)
        found = [(WITHOUT_CATEGORY if name is None else name, figures_of(row)) for name, *row in cursor.fetchall()]
    customers = sum(figures.customers for _, figures in found)
    shown, others = found[:SEGMENTS_SHOWN], found[SEGMENTS_SHOWN:]
    if others:
        shown.append((f"{len(others)} other categories", figures_together(figures for _, figures in others)))
    return Segmentation(
        segments=[ListSegment(name=name, figures=figures) for name, figures in shown],
        sampled=customers if customers >= MOST_CATEGORISED else None,
    )


def rows_sql(asked: CustomerList, *, by: str | None = None) -> str:
    """Return the statement that selects the list's ids and values, and `by_value`, unsorted."""
    columns = [f"{asked.layout.sql_of(name)} as v{number}" for number, name in enumerate(asked.names)]
    by_value = [] if by is None else [f"{asked.layout.sql_of(by)} as by_value"]
    return asked.select(", ".join(["customer_id as id", *columns, *by_value]), is_sorted=False)


def figures_sql(asked: CustomerList) -> str:
    return "".join(FIGURE.format(name=f"v{number}") for number in range(len(asked.names)))


def figures_of(row: Sequence[Any]) -> Figures:
    customers, *parts = row
    return Figures(customers=customers, with_value=parts[::2], totals=parts[1::2])


def figures_together(parts: Iterable[Figures]) -> Figures:
    """Return the figures of several segments together."""
    parts = list(parts)
    return Figures(
        customers=sum(part.customers for part in parts),
        with_value=[sum(numbers) for numbers in zip(*(part.with_value for part in parts), strict=True)],
        totals=[sum(total or 0.0 for total in totals) for totals in zip(*(part.totals for part in parts), strict=True)],
    )


def ranges_in_words(edges: Sequence[float]) -> list[str]:
    """Return the ranges between the edges; a range contains its lower edge."""
    texts = [brief(edge) for edge in edges]
    if not texts:
        return ["any value"]
    inner = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"below {texts[0]}", *inner, f"{texts[-1]} and more"]


def parse_edges(text: str) -> list[float]:
    """Return the edges in a text such as "0.3, 0.7", in ascending order. Raises InvalidError for anything else."""
    edges = {number_in_condition(part.strip(), name="The list of ranges") for part in text.split(",") if part.strip()}
    if len(edges) >= SEGMENTS_SHOWN:
        raise InvalidError(f"A list is divided at fewer than {SEGMENTS_SHOWN} numbers.", attr="ranges")
    return sorted(edges)
