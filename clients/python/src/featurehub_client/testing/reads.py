"""The endpoints of the fake server that read values, histories and lists."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from featurehub_client.testing import bodies
from featurehub_client.testing.asked import Asked
from featurehub_client.testing.bodies import check_customer_id, decoded
from featurehub_client.testing.lists import customer_page, parse_limit
from featurehub_client.testing.refusals import Refused, not_found
from featurehub_client.testing.registry import BEHAVIORAL, VERSION
from featurehub_client.testing.store import Row, Store
from featurehub_client.testing.values import given, rows_held, select, select_in, values_of, versions_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"(older|newer)-(-?\d{1,18})-(\d{1,18})")


def read_features(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/features/`."""
    text = asked.parameter("names")
    names = None if text is None else [name for name in text.split(",") if name]
    if names == []:
        raise Refused("Name at least one feature, or omit `names` to read all of them.", attr="names")
    versions = asked.request.url.params.get_list("version")
    selected = select(store, names, versions=versions, feature_set=asked.parameter("set"))
    return values_of(store, asked.customer_id, selected, feature_set=asked.parameter("set"))


def read_batch(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `POST features/batch/`."""
    body = decoded(asked.request.content, bodies.BatchBody)
    for place, customer_id in enumerate(body.customer_ids):
        check_customer_id(customer_id, attr=f"customer_ids.{place}")
    selected = select_in(store, body)
    return {"results": [values_of(store, each, selected, feature_set=body.feature_set) for each in body.customer_ids]}


def read_as_of(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `POST features/as-of/`."""
    body = decoded(asked.request.content, bodies.AsOfBody)
    for place, entity in enumerate(body.entities):
        check_customer_id(entity.customer_id, attr=f"entities.{place}.customer_id")
    names = select_in(store, body)
    rows = []
    for entity in body.entities:
        held = rows_held(store, entity.customer_id, at=entity.timestamp, known_at=body.known_at)
        features, missing = given(store, names, held)
        rows.append(
            {
                "customer_id": entity.customer_id, "timestamp": entity.timestamp, "features": features,
                "missing": missing,
            }
        )  # fmt: skip
    of_set = {} if body.feature_set is None else {"set": body.feature_set, "versions": versions_of(store, names)}
    return {**of_set, "results": rows}


def read_vector(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/vector/`."""
    values = values_of(store, asked.customer_id, select(store, None), feature_set=None)
    held = rows_held(store, asked.customer_id)
    in_order = sorted(held, key=lambda row: row.feature_type == BEHAVIORAL)
    return {
        "customer_id": asked.customer_id, "features": values["features"], "timestamp": values["computed_at"],
        "feature_type": "vector", "version": VERSION, "versions": values["versions"], "missing": values["missing"],
        "source": "cache", "metadata": {key: value for row in in_order for key, value in row.metadata.items()},
    }  # fmt: skip


def read_history(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/{customer_id}/features/{name}/history/`."""
    name = asked.parts["name"]
    feature = store.registry.features.get(name)
    if feature is None:
        raise not_found(f"There is no feature {name}; GET /api/v1/definitions/ lists them.")
    version = asked.parameter("version")
    if version is not None:
        store.registry.check_version(feature.feature_type, version.removeprefix(f"{feature.feature_type}:"))
    limit = parse_limit(asked.parameter("limit"))
    since, until = asked.moment("since"), asked.moment("until")
    rows = [
        row
        for row in store.rows_of(asked.customer_id, feature.feature_type)
        if name in row.features
        and (since is None or row.timestamp >= since)
        and (until is None or row.timestamp < until)
    ]
    first, last = bounds_of(rows, cursor=asked.parameter("cursor"), limit=limit)
    page = rows[first:last]
    older = f"older-{key_of(page[-1])}" if page and last < len(rows) else None
    newer = f"newer-{key_of(page[0])}" if page and first else None
    results = [row.as_json(is_recorded=True) for row in page]
    return {"next": asked.page_at(older), "previous": asked.page_at(newer), "results": results}


def bounds_of(rows: Sequence[Row], *, cursor: str | None, limit: int) -> tuple[int, int]:
    """Return the places of the first row of the page and of that after its last one; rows are the newest first."""
    if cursor is None:
        return 0, limit
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise Refused("The cursor is not valid: use those in `next` and `previous` unchanged.", attr="cursor")
    key = (EPOCH + timedelta(microseconds=int(match[2])), int(match[3]))
    keys = [(row.timestamp, row.number) for row in rows]
    if match[1] == "older":
        first = sum(each >= key for each in keys)
        return first, first + limit
    last = sum(each > key for each in keys)
    return max(last - limit, 0), last


def key_of(row: Row) -> str:
    """Return a row's place in the history, as cursors have it."""
    return f"{(row.timestamp - EPOCH) // timedelta(microseconds=1)}-{row.number}"


def read_customers(store: Store, asked: Asked) -> dict[str, Any]:
    """Answer `GET customers/`."""
    page, further = customer_page(
        store,
        order=asked.parameter("order") or "customer_id",
        where=asked.request.url.params.get_list("where"),
        limit=parse_limit(asked.parameter("limit")),
        cursor=asked.parameter("cursor"),
    )
    return {**page, "next": asked.page_at(further)}
