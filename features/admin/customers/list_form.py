"""The form of a customer list: its address says everything that was asked for, so that it can be kept and sent on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from featurehub.lib.errors import InvalidError
from features.registry.list_layout import DAYS_SINCE_PURCHASE, DAYS_SINCE_SEEN, ListLayout
from features.serving.customer_lists import BY_CUSTOMER_ID, HAS, HAS_NOT, Condition, filterable, number_in_condition
from features.serving.list_segments import CATEGORY

COMPARISON_WORDS = {
    ">=": "is at least",
    "<=": "is at most",
    ">": "is more than",
    "<": "is less than",
    "=": "is exactly",
    HAS: "has a value",
    HAS_NOT: "has no value",
}
WORDS = {
    DAYS_SINCE_PURCHASE: "Days since last purchase",
    DAYS_SINCE_SEEN: "Days since last seen",
    BY_CUSTOMER_ID: "Customer",
    CATEGORY: "Category of most events",
    "rfm_score": "RFM score",
}
ENGAGEMENT = "engagement_score"
EMPTY_ROWS = 2


def name_in_words(name: str) -> str:
    """Return a name as a title: engagement_score → Engagement score."""
    return WORDS.get(name) or name.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListForm:
    """The filled-in fields as texts; `rows` are (feature, operator, value), with those that are empty."""

    order: str
    direction: str
    rows: Sequence[tuple[str, str, str]]
    by: str
    ranges: str
    shown: str

    @classmethod
    def of(cls, query: QueryDict, *, default_order: str) -> Self:
        filled = zip(query.getlist("feature"), query.getlist("is"), query.getlist("value"), strict=False)
        return cls(
            order=query.get("order") or default_order,
            direction="asc" if query.get("direction") == "asc" else "desc",
            rows=[row for row in filled if row[0]],
            by=query.get("by", ""),
            ranges=query.get("ranges", ""),
            shown="totals" if query.get("shown") == "totals" else "means",
        )

    @property
    def order_and_direction(self) -> str:
        return self.order if self.direction == "asc" else f"-{self.order}"

    @property
    def in_words(self) -> str:
        """The conditions and the order: "Engagement score is at least 0.7; by engagement score, highest first"."""
        comparisons = [
            f"{name_in_words(name)} {COMPARISON_WORDS.get(operator, operator)} {value}".rstrip()
            for name, operator, value in self.rows
        ]
        direction = "lowest" if self.direction == "asc" else "highest"
        return "; ".join([*(comparisons or ["all customers"]), f"by {name_in_words(self.order)}, {direction} first"])

    def conditions(self) -> list[Condition]:
        """Return the conditions. Raise InvalidError for a value that is no number."""
        return [condition_of(*row) for row in self.rows]

    def query(self, **changed: str) -> QueryDict:
        """Return the query of the same list, with some fields changed."""
        query = QueryDict(mutable=True)
        fields = {"order": self.order, "direction": self.direction, "by": self.by, "ranges": self.ranges}
        query.update({name: text for name, text in (fields | {"shown": self.shown} | changed).items() if text})
        for row in self.rows:
            for field, text in zip(("feature", "is", "value"), row, strict=True):
                query.appendlist(field, text)
        return query


def condition_of(name: str, operator: str, value: str) -> Condition:
    if operator not in COMPARISON_WORDS:
        raise InvalidError(f"Choose how {name_in_words(name)} is compared.", attr="where")
    if operator in (HAS, HAS_NOT):
        return Condition(name, operator)
    return Condition(name, operator, number_in_condition(value.strip().replace(",", "."), name=name_in_words(name)))


def choices(layout: ListLayout) -> dict[str, Sequence[tuple[str, str]]]:
    """Return what can be chosen: heading → (name, words), the listed names before the others."""
    others = [name for name in filterable(layout) if name not in layout.columns]
    return {
        "In the lists": [(name, name_in_words(name)) for name in layout.columns],
        "Other features (slower)": [(name, name_in_words(name)) for name in others],
    }


def ready_made(layout: ListLayout) -> list[tuple[str, str]]:
    """Return questions that are often asked, with their queries; none where the engagement score is not listed."""
    if ENGAGEMENT not in layout.columns:
        return []
    most_engaged = ListForm(order=ENGAGEMENT, direction="desc", rows=(), by="", ranges="", shown="means")
    bought = [(ENGAGEMENT, ">=", "0.7"), (DAYS_SINCE_PURCHASE, "<=", "7")]
    slipping = [(ENGAGEMENT, ">=", "0.3"), (DAYS_SINCE_SEEN, ">=", "7")]
    questions = {
        "The most engaged": most_engaged.query(),
        "Above 0.7, bought within 7 days": query_with(most_engaged, rows=bought),
        "Engaged, not seen for a week": query_with(most_engaged, rows=slipping),
        "The average customer by category": most_engaged.query(by=CATEGORY),
    }
    return [(words, query.urlencode()) for words, query in questions.items()]


def query_with(form: ListForm, *, rows: Sequence[tuple[str, str, str]]) -> QueryDict:
    return ListForm(order=form.order, direction=form.direction, rows=rows, by="", ranges="", shown="means").query()
