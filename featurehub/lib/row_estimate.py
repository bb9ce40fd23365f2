"""Count rows at a cost that does not grow with their number."""

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class RowCount:
    """A number of rows: exact up to COUNTED, else PostgreSQL's estimate."""

    number: int
    is_exact: bool

    def __str__(self) -> str:
        return f"{self.number:,}" if self.is_exact else f"about {self.number:,}"


def estimate_rows(rows: QuerySet[Any]) -> RowCount:
    """Return the exact number of rows up to COUNTED, else the planner's estimate, with at most two queries.

    Meant for whole tables and for filters that an index serves, since it then reads at most COUNTED rows.
    """
    rows = rows.order_by()
    number = rows[: COUNTED + 1].count()
    if number <= COUNTED:
        return RowCount(number, is_exact=True)
    plan = json.loads(rows.explain(format="json"))[0]["Plan"]
    return RowCount(max(int(plan["Plan Rows"]), number), is_exact=False)
