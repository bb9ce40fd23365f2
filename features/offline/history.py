"""The append-only history: its newest rows, and all rows of a name. `computed` and `written` append to it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import msgspec
import orjson
from django.db import connection
from django.db.models import QuerySet

from featurehub.lib.clock import nearest_in_utc
from featurehub.lib.errors import UnknownError
from features.models import CustomerFeature
from features.registry.contents import Registry
from features.registry.snapshot import found_in_registry

# The newest row of each customer and version, with the moment until which it is confirmed: the latest of its timestamp,
# of the customer's last computation, and of the bucket's last renewal unless an event left the window before that. With
# the ids named again, PostgreSQL looks the customers up: it would read the whole table for some thousands of them.
LATEST = """
select wanted.customer_id, read.feature_type, read.version, row.id,
    (extract(epoch from row."timestamp") * 1000000)::bigint,
    case when not row.is_known then row.features end, case when not row.is_known then row.metadata end,
    (extract(epoch from greatest(
        row."timestamp",
        customer.computed_at,
        case when renewal.renewed_at <= customer.recompute_at then renewal.renewed_at end
    )) * 1000000)::bigint,
    customer.weight_set_id, row.recorded_at > coalesce(customer.computed_at, '-infinity'),
    (extract(epoch from customer.computed_at) * 1000000)::bigint
from unnest(%(customer_ids)s::text[]) as wanted (customer_id)
cross join unnest(%(feature_types)s::text[], %(numbers)s::text[]) as read (feature_type, version)
cross join lateral (
    select id, "timestamp", recorded_at, features, metadata, id = any(%(known_ids)s::bigint[]) as is_known
    from features_customerfeature
    where customer_id = wanted.customer_id and feature_type = read.feature_type and version = read.version
        and "timestamp" <= coalesce(%(as_of)s, 'infinity'::timestamptz)
    order by "timestamp" desc, id desc
    limit 1
) row
left join features_customer customer
    on customer.customer_id = wanted.customer_id and customer.customer_id = any(%(customer_ids)s::text[])
left join features_renewal renewal on renewal.bucket = features_bucket(customer.customer_id)
"""

HAVE_ROWS = """
select customer_id from unnest(%(customer_ids)s::text[]) as wanted (customer_id)
where exists (
    select from unnest(%(numbers)s::text[]) as read (number)
    join features_customerfeature row on row.customer_id = wanted.customer_id and row.version = read.number
    where row.feature_type = %(feature_type)s and row."timestamp" <= coalesce(%(as_of)s, 'infinity'::timestamptz)
)
"""

# New ids, since a sequence doesn't tell of its last one whether it was used.
RESERVE_ROWS = """
with sequence as materialized (select pg_get_serial_sequence('features_customerfeature', 'id')::regclass as id)
select array(select nextval(sequence.id) from sequence, generate_series(1, %s)), clock_timestamp()
"""


decode_features: Callable[[str], Any] = msgspec.json.Decoder(dict[str, float | None]).decode

# Id of a row → its features and metadata.
RowContents: TypeAlias = Mapping[int, tuple[dict[str, float], dict[str, Any]]]
NO_CONTENTS: RowContents = MappingProxyType({})


class Latest(NamedTuple):
    """The newest row of a customer, type and version, and what the last computation or renewal confirmed of it.

    Its fields are the columns of LATEST. Moments are microseconds since 1970 UTC, because datetimes would cost more
    than the rest of the row. From `since_us`, the row's timestamp, until `confirmed_us` the values are known to hold,
    changed by decay only. The customer's last computation was at `computation_us`; `weight_set_id` is the set that had
    been activated last by then, of any version. `is_newer_than_computation`: the row was recorded later, as a client's
    write may be.
    """

    customer_id: str
    feature_type: str
    version: str
    id: int
    since_us: int
    features: dict[str, float]
    metadata: dict[str, Any]
    confirmed_us: int
    weight_set_id: int | None
    is_newer_than_computation: bool
    computation_us: int | None


class ReservedRows(NamedTuple):
    """Ids of rows to come, in ascending order, and PostgreSQL's time."""

    ids: Sequence[int]
    reserved_at: datetime


def latest(
    customer_ids: Sequence[str],
    *,
    versions: Iterable[tuple[str, str]],
    as_of: datetime | None = None,
    contents: RowContents = NO_CONTENTS,
) -> list[Latest]:
    """Return the newest row of each customer and (feature type, version), up to `as_of` if given; one query.

    PostgreSQL says which row that is, and not again what is in one of `contents`, which the caller has appended: a row
    never changes.
    """
    versions = list(versions)
    with connection.cursor() as cursor:
        cursor.execute(
            LATEST,
            {
                "customer_ids": list(customer_ids),
                "feature_types": [feature_type for feature_type, _ in versions],
                "numbers": [number for _, number in versions],
                "as_of": as_of,
                "known_ids": list(contents),
            },
        )
        return [
            Latest._make((*row[:5], *(contents[row[3]] if row[5] is None else read_contents(*row[5:7])), *row[7:]))
            for row in cursor.fetchall()
        ]


def read_contents(features: str, metadata: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Return a row's features, all of them doubles, and its metadata from their JSON.

    PostgreSQL writes large doubles without a decimal point, so that orjson returns integers, which Python compares
    exactly.
    """
    return decode_features(features), orjson.loads(metadata)


def customers_with_rows(
    customer_ids: Sequence[str], *, feature_type: str, numbers: Sequence[str], as_of: datetime | None = None
) -> set[str]:
    """Return those of the customers that have a row of one of these versions, up to `as_of` if given; one query."""
    asked = {"customer_ids": list(customer_ids), "feature_type": feature_type, "numbers": list(numbers), "as_of": as_of}
    with connection.cursor() as cursor:
        cursor.execute(HAVE_ROWS, asked)
        return {customer_id for (customer_id,) in cursor.fetchall()}


def rows_holding(
    customer_id: str, *, name: str, feature_type: str, version: str, since: datetime | None, until: datetime | None
) -> QuerySet[CustomerFeature]:
    """Return the customer's rows with a value of the feature, since ≤ timestamp ≤ until, newest first."""
    rows = CustomerFeature.objects.filter(
        customer_id=customer_id, feature_type=feature_type, version=version, features__has_key=name
    )
    if since is not None:
        rows = rows.filter(timestamp__gte=nearest_in_utc(since))
    if until is not None:
        rows = rows.filter(timestamp__lte=nearest_in_utc(until))
    return rows.order_by("-timestamp", "-id")


def history_of(
    customer_id: str, *, name: str, version: str | None, since: datetime | None, until: datetime | None
) -> QuerySet[CustomerFeature]:
    """Return `rows_holding` of the live version, or of the one that `version` names (`1.0` or `behavioral:1.0`).

    Raises UnknownError for a name that is not registered or a version that can't be read.
    """
    feature_type, number = found_in_registry(lambda known: named_version(name, version=version, known=known))
    return rows_holding(customer_id, name=name, feature_type=feature_type, version=number, since=since, until=until)


def named_version(name: str, *, version: str | None, known: Registry) -> tuple[str, str]:
    """Return the type of a feature and the number of the version to read. Raises as `history_of` does."""
    definition = known.definitions.get(name)
    if definition is None:
        raise UnknownError(f"There is no feature {name}; GET /api/v1/definitions/ lists them.")
    feature_type = definition.feature_type
    number = known.live.get(feature_type, "") if version is None else version.removeprefix(f"{feature_type}:")
    if (feature_type, number) not in known.views:
        raise known.unreadable(str(version or number), feature_type=feature_type)
    return feature_type, number


def reserve_rows(number: int) -> ReservedRows:
    """Return ids that no row has, and the time.

    All rows that are there, committed or not, have lower ids, all to come higher ones.
    """
    with connection.cursor() as cursor:
        cursor.execute(RESERVE_ROWS, [number])
        return ReservedRows(*cursor.fetchone())
