"""Customer lists of the fake server: conditions, order and pages."""

import base64
import operator
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from featurehub_client.testing.refusals import Refused, did_you_mean
from featurehub_client.testing.registry import LISTED
from featurehub_client.testing.store import Store

SINCE = {"days_since_purchase": "purchase", "days_since_seen": None}
CONDITION = re.compile(r"\s*(?:(!?)([a-z][a-z0-9_]*)|([a-z][a-z0-9_]*)\s*(>=|<=|>|<|=)\s*([^\s,]+))\s*")
COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq}
ROWS_PER_PAGE, MOST_ROWS_PER_PAGE = 100, 1_000


def parse_limit(text: str | None) -> int:
    """Return the number of rows of a page. Raise Refused for anything but a whole number from 1 to 1,000."""
    if text is None:
        return ROWS_PER_PAGE
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_ROWS_PER_PAGE):
        raise Refused("The limit is a whole number from 1 to 1000.", attr="limit")
    return int(text)


def customer_page(
    store: Store, *, order: str, where: Sequence[str], limit: int, cursor: str | None
) -> tuple[dict[str, Any], str | None]:
    """Return a page of customers, and the cursor of the next one. Raise Refused for what can't be read so."""
    conditions = [parse_condition(part) for text in where for part in text.split(",") if part.strip()]
    check_names(store, order=order, names=[name for name, _, _ in conditions])
    names = tuple(dict.fromkeys([*LISTED, *(name for name, _, _ in conditions if name not in SINCE)]))
    as_of, place = parse_cursor(cursor)
    rows = [customer_row(store, customer_id, names=names, as_of=as_of) for customer_id in store.customers()]
    found = [row for row in rows if all(meets(value_in(row, name), how, number) for name, how, number in conditions)]
    found = in_order(found, order=order)
    further = f"{as_of.timestamp()!r} {place + limit}" if len(found) > place + limit else None
    page = {"as_of": as_of, "filled": 1.0, "results": found[place : place + limit]}
    return page, None if further is None else base64.urlsafe_b64encode(further.encode()).decode()


def parse_cursor(cursor: str | None) -> tuple[datetime, int]:
    """Return the moment of the list, and the place of the page's first row."""
    if cursor is None:
        return datetime.now(UTC), 0
    try:
        moment, place = base64.urlsafe_b64decode(cursor).decode().split(" ")
        return datetime.fromtimestamp(float(moment), UTC), int(place)
    except ValueError:
        raise Refused("The cursor is not valid: use that in `next` unchanged.", attr="cursor") from None


def parse_condition(text: str) -> tuple[str, str, float]:
    """Return the name, the comparison and the number of a condition; `has` and `has not` have no number."""
    match = CONDITION.fullmatch(text)
    if match is None:
        detail = f"“{text.strip()[:80]}” is no condition: write name>=number (or <=, >, <, =), name or !name."
        raise Refused(detail, attr="where")
    if match[2]:
        return match[2], "has not" if match[1] else "has", 0.0
    try:
        return match[3], match[4], float(match[5])
    except ValueError:
        raise Refused(f"{match[3]} is compared with “{match[5][:40]}”, which is no number.", attr="where") from None


def check_names(store: Store, *, order: str, names: Sequence[str]) -> None:
    """Raise Refused for names that do not exist, and for an order that lists do not have."""
    sortable = ("customer_id", *LISTED, *SINCE)
    name = order.removeprefix("-")
    if name not in sortable:
        if name in store.registry.features:
            detail = (
                f"{name} is not listed: lists are sorted by {', '.join(sortable)}. Its definition can give it a place."
            )
        else:
            detail = f"There is no {name}.{did_you_mean(name, sortable)} Lists are sorted by {', '.join(sortable)}."
        raise Refused(detail, attr="order")
    known = [*SINCE, *store.registry.features]
    unknown = next((each for each in names if each not in known), None)
    if unknown is not None:
        raise Refused(f"There is no live feature {unknown}.{did_you_mean(unknown, known)}", attr="where")


def customer_row(store: Store, customer_id: str, *, names: Sequence[str], as_of: datetime) -> dict[str, Any]:
    """Return a customer of a list, with null for what has no value."""
    held = [store.held(customer_id, feature_type) for feature_type in store.registry.types()]
    values = {name: value for row in held if row for name, value in row.features.items()}
    since = {name: days_since(store, customer_id, event_type=kind, as_of=as_of) for name, kind in SINCE.items()}
    return {"customer_id": customer_id, "features": {name: values.get(name) for name in names}, **since}


def days_since(store: Store, customer_id: str, *, event_type: str | None, as_of: datetime) -> float | None:
    """Return the days since the newest event, of a type or of any; None where there is none."""
    events = store.events.get(customer_id, {}).values()
    moments = [event.timestamp for event in events if event_type in (None, event.event_type)]
    return max((as_of - max(moments)).total_seconds() / 86_400, 0.0) if moments else None


def value_in(row: Mapping[str, Any], name: str) -> float | None:
    """Return a value of a customer of a list."""
    value: float | None = row[name] if name in SINCE else row["features"][name]
    return value


def meets(value: float | None, how: str, number: float) -> bool:
    """Return whether the value meets a condition."""
    if how in ("has", "has not"):
        return (value is not None) == (how == "has")
    return value is not None and COMPARED[how](value, number)


def in_order(rows: list[dict[str, Any]], *, order: str) -> list[dict[str, Any]]:
    """Return the rows sorted; those without a value come last, equal ones by id."""
    name, is_descending = order.removeprefix("-"), order.startswith("-")
    if name == "customer_id":
        return sorted(rows, key=lambda row: str(row["customer_id"]), reverse=is_descending)
    sign = -1.0 if is_descending else 1.0

    def place(row: dict[str, Any]) -> tuple[bool, float, str]:
        value = value_in(row, name)
        return value is None, sign * (value or 0.0), row["customer_id"]

    return sorted(rows, key=place)
