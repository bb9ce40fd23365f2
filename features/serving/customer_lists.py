"""Lists of customers: what is asked for, and the SQL that answers it.

A list is filtered by any live feature, and sorted by those that are listed: rows of `features_customer` hold what their
values are computed from (see `features.registry.list_layout`). Two names are no features: `days_since_purchase` and
`days_since_seen`. A condition is written `engagement_score>=0.7`, `loyalty_tier` (has a value) or `!loyalty_tier` (has
none).
"""

import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from featurehub.lib.errors import InvalidError
from featurehub.lib.suggestions import did_you_mean
from features.registry.list_layout import ListLayout, list_layout
from features.registry.snapshot import registry_snapshot

BY_CUSTOMER_ID = "customer_id"
HAS, HAS_NOT = "has", "has not"
CONDITION_PATTERN = r"\s*(?:(!?)([a-z][a-z0-9_]*)|([a-z][a-z0-9_]*)\s*(>=|<=|>|<|=)\s*([^\s,]+))\s*"
CONDITION = re.compile(CONDITION_PATTERN)
# Any number of them, separated by commas; nothing between two commas is no condition.
CONDITIONS_PATTERN = rf"(?:{CONDITION_PATTERN}|\s*)(?:,(?:{CONDITION_PATTERN}|\s*))*"
MOST_CONDITIONS = 20

# Names that rows hold are filtered and sorted first, and limited where that is all. What has to be read from the
# history is filtered in that order, one customer after the other, until the page is full; `offset 0` keeps PostgreSQL
# from doing both at once.
LIST_SQL = """
select {columns} from (
    select customer_id, computed_at, recompute_at, last_seen_at, listed{sort_column}
    from features_customer customer
    where listed_of = %(listed_of)s{stored}{after}
    {order} {inner_limit}
) customer
{unstored}
{order} {limit}
"""


class Condition(NamedTuple):
    """A condition on one name: one of `>=`, `<=`, `>`, `<` and `=` with a number, HAS or HAS_NOT."""

    name: str
    operator: str
    value: float = 0.0

    def __str__(self) -> str:
        match self.operator:
            case "has":
                return self.name
            case "has not":
                return f"!{self.name}"
        return f"{self.name}{self.operator}{self.value!r}"


class After(NamedTuple):
    """The last customer of a page, after whom the next one begins: the value that the list is sorted by, and the id."""

    value: float | None
    customer_id: str


@dataclass(frozen=True, kw_only=True)
class CustomerList:
    """A list as it was asked for, at one moment: what changes with time has the value of `now_s` on every page.

    `order` is the name that it is sorted by; customers without a value come last, and equal ones are sorted by id.
    """

    layout: ListLayout
    now_s: float
    order: str
    is_descending: bool
    conditions: Sequence[Condition] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names whose values are shown: the listed features, the two others, and what it is filtered by."""
        return tuple(dict.fromkeys([*self.layout.columns, *(condition.name for condition in self.conditions)]))

    @cached_property
    def unlisted(self) -> tuple[str, ...]:
        """Return the names of conditions that are read from the history."""
        names = dict.fromkeys(condition.name for condition in self.conditions)
        return tuple(name for name in names if not self.layout.is_stored(name))

    @property
    def versions(self) -> dict[str, str]:
        """Return feature type → number of the versions whose values are shown."""
        views = (self.layout.known.live_names.get(name) for name in self.names)
        return dict(view.key for view in views if view is not None)

    @property
    def order_as_text(self) -> str:
        return f"{'-' if self.is_descending else ''}{self.order}"

    @property
    def sort_sql(self) -> str:
        return self.layout.columns[self.order]

    def select(
        self, columns: str, *, after: After | None = None, is_limited: bool = False, is_sorted: bool = True
    ) -> str:
        """Return the statement that selects columns of the list's rows: all, or as many as `limit` says."""
        by_id = self.order == BY_CUSTOMER_ID
        direction = "desc" if self.is_descending else "asc"
        order = f"customer_id {direction}" if by_id else f"sort_value {direction} nulls last, customer_id"
        order = f"order by {order}" if is_sorted else ""
        where = [condition_sql(each, self.layout) for each in self.conditions if each.name in self.unlisted]
        stored = [condition_sql(each, self.layout) for each in self.conditions if each.name not in self.unlisted]
        return LIST_SQL.format(
            columns=columns,
            sort_column="" if by_id else f", {self.sort_sql} as sort_value",
            stored="".join(f" and {condition}" for condition in stored),
            after="" if after is None else f" and {self.after_sql(after)}",
            order=order,
            inner_limit="offset 0" if where else "limit %(limit)s" if is_limited else "",
            unstored="where " + " and ".join(where) if where else "",
            limit="limit %(limit)s" if is_limited else "",
        )

    def after_sql(self, after: After) -> str:
        if self.order == BY_CUSTOMER_ID:
            return f"customer_id {'<' if self.is_descending else '>'} %(after_id)s"
        if after.value is None:
            return f"{self.sort_sql} is null and customer_id > %(after_id)s"
        further = "<" if self.is_descending else ">"
        return (
            f"({self.sort_sql} {further} %(after)s or {self.sort_sql} is null"
            f" or ({self.sort_sql} = %(after)s and customer_id > %(after_id)s))"
        )

    def parameters(self, after: After | None = None, *, limit: int | None = None) -> dict[str, Any]:
        given: dict[str, Any] = {"listed_of": self.layout.checksum, "now_s": self.now_s, "limit": limit}
        return given if after is None else given | {"after": after.value, "after_id": after.customer_id}


def condition_sql(condition: Condition, layout: ListLayout) -> str:
    value = layout.sql_of(condition.name)
    if condition.operator in (HAS, HAS_NOT):
        return f"({value}) is {'not ' if condition.operator == HAS else ''}null"
    return f"({value}) {condition.operator} {condition.value!r}::float8"


def customer_list(
    *, order: str = BY_CUSTOMER_ID, conditions: Iterable[Condition] = (), now_s: float | None = None
) -> CustomerList:
    """Return the list of all customers that meet the conditions, sorted by a name, descending with a `-` before it.

    `now_s`: the moment of the list, in seconds since 1970 UTC, now by default. Raises InvalidError for names that do
    not exist or can't be sorted by, and for too many conditions.
    """
    layout = list_layout(registry_snapshot.get())
    conditions = tuple(dict.fromkeys(conditions))
    if len(conditions) > MOST_CONDITIONS:
        raise InvalidError(f"A list has at most {MOST_CONDITIONS} conditions.", attr="where")
    name = order.removeprefix("-")
    check_order(name, layout=layout)
    for condition in conditions:
        check_name(condition.name, layout=layout)
    return CustomerList(
        layout=layout,
        now_s=time.time() if now_s is None else now_s,
        order=name,
        is_descending=order.startswith("-"),
        conditions=conditions,
    )


def check_order(name: str, *, layout: ListLayout) -> None:
    """Raise InvalidError for a name that lists are not sorted by."""
    sortable = (BY_CUSTOMER_ID, *layout.columns)
    if name in sortable:
        return
    if name in layout.known.live_names:
        detail = f"{name} is not listed: lists are sorted by {', '.join(sortable)}. Its definition can give it a place."
    else:
        detail = f"There is no {name[:64]}.{did_you_mean(name, sortable)} Lists are sorted by {', '.join(sortable)}."
    raise InvalidError(detail, attr="order")


def check_name(name: str, *, layout: ListLayout) -> None:
    """Raise InvalidError for a name that no live version has."""
    names = filterable(layout)
    if name not in names:
        raise InvalidError(f"There is no live feature {name[:64]}.{did_you_mean(name, names)}", attr="where")


def filterable(layout: ListLayout) -> tuple[str, ...]:
    """Return the names that lists are filtered by: the listed ones first."""
    return tuple(dict.fromkeys([*layout.columns, *sorted(layout.known.live_names)]))


def parse_conditions(texts: Iterable[str]) -> list[Condition]:
    """Return the conditions in texts, each with one or more, separated by commas.

    Raises InvalidError, which quotes it, for a text that is no condition.
    """
    return [parse_condition(part) for text in texts for part in text.split(",") if part.strip()]


def parse_condition(text: str) -> Condition:
    match = CONDITION.fullmatch(text)
    if match is None:
        detail = f"“{text.strip()[:80]}” is no condition: write name>=number (or <=, >, <, =), name or !name."
        raise InvalidError(detail, attr="where")
    if match[2]:
        return Condition(match[2], HAS_NOT if match[1] else HAS)
    return Condition(match[3], match[4], number_in_condition(match[5], name=match[3]))


def number_in_condition(text: str, *, name: str) -> float:
    """Return a finite number. Raise InvalidError for any other text."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidError(f"{name} is compared with “{text[:40]}”, which is no number.", attr="where")
    return number
