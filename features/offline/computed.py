"""Values that are computed: a row of the history for each customer whose values changed.

Which customers these are is decided here, from the rows that hold. COPY appends the rows then, which takes PostgreSQL
half of the time that an INSERT takes which looks up and compares the rows itself.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson
from django.db import connection

from events.copy_text import escaped
from featurehub.lib.clock import microseconds
from featurehub.lib.copying import copying
from features.formulas.activity import MICROSECONDS_PER_DAY, OTHER_TYPES
from features.offline.history import Latest, reserve_rows

NO_ACTIVITY: Mapping[str, Any] = MappingProxyType({})
COPY_ROWS = """
copy features_customerfeature
    (id, customer_id, feature_type, version, "timestamp", recorded_at, features, metadata)
from stdin
"""

# A row of a late computation must not become the newest one where a later computation confirmed the row that held
# before. That row is then appended again, at the moment of the later computation. The ids of the customers are named
# for the reason that LATEST has.
CONFIRM_LATER = """
insert into features_customerfeature
    (customer_id, feature_type, version, "timestamp", recorded_at, features, metadata)
select held.customer_id, held.feature_type, held.version, customer.computed_at, clock_timestamp(),
    held.features, held.metadata
from features_customerfeature held
join features_customer customer
    on customer.customer_id = held.customer_id and customer.customer_id = any(%(customer_ids)s::text[])
where held.id = any(%(held_ids)s::bigint[]) and customer.computed_at > %(as_of)s
    and not exists (
        select from features_customerfeature later
        where later.customer_id = held.customer_id and later.feature_type = held.feature_type
            and later.version = held.version and later."timestamp" > %(as_of)s
    )
"""


def append_computed(
    customer_ids: Sequence[str],
    *,
    feature_type: str,
    version: str,
    as_of: datetime,
    features: Sequence[Mapping[str, float]],
    metadata: Sequence[Mapping[str, Any]],
    held: Iterable[Latest],
    time_dependent: Collection[str] = (),
    changed_beyond_decay: Collection[str] = (),
    is_late: bool = False,
    anew: bool = False,
) -> dict[str, int]:
    """Append a row for each customer whose values at `as_of` changed, and return customer → id of the new row.

    `features` and `metadata` are in the order of `customer_ids`. `held` are the version's rows that hold at `as_of`, of
    all of these customers who have one. `changed_beyond_decay` are customers whose time-dependent values changed by
    more than decay explains. `is_late` says that customers may have been computed for a later moment already; the row
    that holds then stays the newest one. `anew`: the row that holds may be wrong, so a row is appended wherever
    anything differs from it. The caller has held the customers' locks since before `held` was read: two writers of one
    customer would not see each other's rows.
    """
    before = {row.customer_id: row for row in held}
    as_of_us = microseconds(as_of)
    changed = [
        row
        for row in zip(customer_ids, features, metadata, strict=True)
        if row[0] not in before
        or needs_row(
            before[row[0]],
            values=row[1],
            metadata=row[2],
            time_dependent=time_dependent,
            is_beyond_decay=row[0] in changed_beyond_decay,
            as_of_us=as_of_us,
            anew=anew,
        )
    ]
    if not changed:
        return {}
    appended = copy_rows(changed, feature_type=feature_type, version=version, as_of=as_of)
    if is_late:
        confirm_later([before[customer_id] for customer_id in appended if customer_id in before], as_of=as_of)
    return appended


def needs_row(
    held: Latest,
    *,
    values: Mapping[str, float],
    metadata: Mapping[str, Any],
    time_dependent: Collection[str],
    is_beyond_decay: bool,
    as_of_us: int,
    anew: bool,
) -> bool:
    """Return whether the row that holds is not enough at `as_of_us`, in microseconds since 1970 UTC.

    It is not enough

      - where a value that does not depend on time differs,
      - where a time-dependent value differs by more than decay explains, or after another last purchase: a purchase may
        arrive as another leaves, with all other values equal,
      - where a time-dependent value differs by decay alone, if the row that holds is at least one day old,
      - where the count of an event type differs that no value shows: weights that come later score from it,
      - where anything differs, if the values are written `anew`: a repair.
    """
    before, now = held.metadata.get("activity", NO_ACTIVITY), metadata.get("activity", NO_ACTIVITY)
    if held.features != values and (
        anew
        or is_beyond_decay
        or before.get("last_purchase_us") != now.get("last_purchase_us")
        or as_of_us - held.since_us >= MICROSECONDS_PER_DAY
        or any(
            held.features.get(name) != values.get(name)
            for name in (*values, *held.features)
            if name not in time_dependent
        )
    ):
        return True
    if anew and with_doubles(held.metadata) != with_doubles(metadata):
        return True
    return bool(before.get(OTHER_TYPES) != now.get(OTHER_TYPES))


def with_doubles(value: Any) -> Any:
    """Return metadata with its numbers as doubles, for the reason that `read_contents` has."""
    if isinstance(value, Mapping):
        return {name: with_doubles(part) for name, part in value.items()}
    return float(value) if isinstance(value, int) else value


def copy_rows(
    rows: Sequence[tuple[str, Mapping[str, float], Mapping[str, Any]]],
    *,
    feature_type: str,
    version: str,
    as_of: datetime,
) -> dict[str, int]:
    """Append rows of (customer_id, features, metadata). Return customer → id of the row."""
    customer_ids = [row[0] for row in rows]
    reserved = reserve_rows(len(rows))
    appended = dict(zip(customer_ids, reserved.ids, strict=True))
    shared = f"\t{feature_type}\t{version}\t{as_of.isoformat()}\t{reserved.reserved_at.isoformat()}\t"
    lines = [
        f"{row_id}\t{text}{shared}{as_json(features)}\t{as_json(metadata)}\n"
        for row_id, text, (_, features, metadata) in zip(appended.values(), escaped(customer_ids), rows, strict=True)
    ]
    with connection.cursor() as cursor, copying(cursor, COPY_ROWS) as copy:
        copy.write("".join(lines))
    return appended


def as_json(document: Mapping[str, Any]) -> str:
    """Return a document as COPY reads it: JSON has no other character with a meaning for COPY."""
    return orjson.dumps(document).decode().replace("\\", r"\\")


def confirm_later(held: Sequence[Latest], *, as_of: datetime) -> None:
    """Append rows once more, which held until `as_of`, where their customers' last computation was later."""
    if held:
        customer_ids, held_ids = [row.customer_id for row in held], [row.id for row in held]
        with connection.cursor() as cursor:
            cursor.execute(CONFIRM_LATER, {"customer_ids": customer_ids, "held_ids": held_ids, "as_of": as_of})
