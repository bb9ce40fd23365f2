"""The part of the CDNOW log that is in this folder."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

LOG = Path(__file__).with_name("cdnow_tenth.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One line of the log.

    `days_ago` counts from the last day of the log; `amount` is in US dollars.
    """

    customer_id: str
    days_ago: int
    items: int
    amount: float


def purchases_by_customer(log: Path = LOG) -> dict[str, list[Purchase]]:
    """Return customer_id → purchases in the order of the log: oldest first, identical lines included."""
    lines = [line.split() for line in log.read_text().splitlines()[1:]]
    days = [datetime.strptime(line[1], "%Y%m%d").replace(tzinfo=UTC) for line in lines]
    last_day = max(days)
    purchases = [
        Purchase(customer_id=f"cdnow-{number}", days_ago=(last_day - day).days, items=int(items), amount=float(amount))
        for (number, _, items, amount), day in zip(lines, days, strict=True)
    ]
    return {customer_id: list(group) for customer_id, group in groupby(purchases, key=attrgetter("customer_id"))}
