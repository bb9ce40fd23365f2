"""How many rows there are, at a cost that does not grow with them."""

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class RowCount:
    """A number of rows; beyond COUNTED it is PostgreSQL's estimate."""

    number: int
    is_exact: bool

    def __str__(self) -> str:
        return f"{self.number:,}" if self.is_exact else f"about {self.number:,}"


def estimate_rows(rows: QuerySet[Any]) -> RowCount:
    """The exact number up to COUNTED, else the planner's estimate. Two queries at most.

    For whole tables, and for filters that an index serves: those read no more than COUNTED rows here.
    """
    rows = rows.order_by()
    number = rows[: COUNTED + 1].count()
    if number <= COUNTED:
        return RowCount(number, is_exact=True)
    plan = json.loads(rows.explain(format="json"))[0]["Plan"]
    return RowCount(max(int(plan["Plan Rows"]), number), is_exact=False)
