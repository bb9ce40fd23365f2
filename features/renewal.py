"""Renewing active customers before their TTL ends, at a cost that follows those whose values can have changed.

Between two events that come or leave, a customer's values move with time alone, and only where there is a purchase to
grow older. So a renewal reads no event and writes nothing to PostgreSQL: that says which history row is the newest,
and Redis keeps what it has of that row, with a new moment, a new TTL, and what time has moved. Customers come in
buckets; a worker that dies leaves its bucket due, and whoever claims it next renews it again, to the same result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Min
from django.db.models.functions import Coalesce, Now

from features import runs, store
from features.computation import compute_from_history, lock
from features.formulas import NEVER, RFM_SCORE, microseconds, recency_score, rfm_score
from features.marks import mark, settle
from features.models import Customer, FeatureType, Renewal, Run
from features.publishing import publish
from features.registry import registry
from features.store import Moved

BUCKETS_PER_CLAIM = 4
CUSTOMERS_PER_CHUNK = 2_000
# At most: a quarter of the TTL where that is less.
LEASE = timedelta(seconds=60)

CLAIM = """
update features_renewal renewal
set renewed_at = statement_timestamp(), due_at = statement_timestamp() + %(lease)s
from (
    select bucket from features_renewal where due_at <= statement_timestamp()
    order by due_at, bucket limit %(limit)s for update skip locked
) due
where renewal.bucket = due.bucket
returning renewal.bucket, renewal.renewed_at
"""
# Customers that an event has left are left out: `refresh.refresh_departed` computes them from their events.
RENEWABLE = """
select customer.customer_id, row.id, customer.computed_at < %(as_of)s - interval '1 day',
    (row.metadata #> '{activity,last_purchase_us}')::bigint,
    (row.features -> 'frequency_score')::float8, (row.features -> 'monetary_score')::float8
from features_customer customer
left join lateral (
    select id, features, metadata from features_customerfeature
    where customer_id = customer.customer_id and feature_type = 'behavioral' and version = %(version)s
    order by "timestamp" desc, id desc
    limit 1
) row on true
where customer.bucket = any(%(buckets)s) and customer.recompute_at >= %(as_of)s
"""
# The one value of each computed type that time moves.
MOVED = {FeatureType.BEHAVIORAL.value: "recency_score", FeatureType.DERIVED.value: RFM_SCORE}


@dataclass(frozen=True, slots=True)
class Renewable:
    """An active customer and its newest behavioral row; `sequence` is None where the live version has none."""

    customer_id: str
    sequence: int | None
    is_a_day_old: bool
    last_purchase_us: int
    frequency_score: float
    monetary_score: float


def renew(*, limit: int = BUCKETS_PER_CLAIM) -> int:
    """Claims the next buckets that are due and renews their customers. Returns how many buckets there were."""
    buckets, as_of = claim(limit)
    if as_of is None:
        runs.finish_refresh()
        return 0
    run = runs.refresh_under_way() or begin_run(buckets)
    for chunk in store.batched(renewable(buckets, as_of=as_of), CUSTOMERS_PER_CHUNK):
        renew_chunk(chunk, as_of=as_of)
        runs.advance(run, by=len(chunk))
    # Unless somebody has wanted them renewed again meanwhile, as a version does that goes live.
    claimed = Renewal.objects.filter(bucket__in=buckets, renewed_at=as_of, due_at=as_of + lease())
    claimed.update(due_at=as_of + timedelta(seconds=settings.FEATURE_TTL / 2))
    return len(buckets)


def claim(limit: int) -> tuple[list[int], datetime | None]:
    """Buckets that nobody else renews for the time of the lease, and the moment they are renewed for; None: none."""
    parameters: dict[str, Any] = {"limit": limit, "lease": lease()}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        rows = cursor.fetchall()
    return [bucket for bucket, _ in rows], rows[0][1] if rows else None


def lease() -> timedelta:
    """How long a claimed bucket is left to its claimer."""
    return min(LEASE, timedelta(seconds=settings.FEATURE_TTL / 4))


def begin_run(claimed: Sequence[int]) -> Run | None:
    """The run of a refresh that begins; None where there is no active customer to renew.

    It is about the active customers in the claimed buckets and in those that are due beside them.
    """
    due = Renewal.objects.filter(due_at__lte=Now()).values_list("bucket", flat=True)
    total = Customer.objects.filter(bucket__in=[*claimed, *due], recompute_at__isnull=False).count()
    return runs.begin(Run.Kind.REFRESH, total=total) if total else None


def renewable(buckets: Sequence[int], *, as_of: datetime) -> Iterator[Renewable]:
    """The buckets' active customers that have lost no event by `as_of`, streamed."""
    version = registry.get().live[FeatureType.BEHAVIORAL]
    with connection.chunked_cursor() as cursor:
        cursor.execute(RENEWABLE, {"buckets": list(buckets), "as_of": as_of, "version": version})
        while rows := cursor.fetchmany(CUSTOMERS_PER_CHUNK):
            yield from (Renewable(*row) for row in rows)


def renew_chunk(customers: Sequence[Renewable], *, as_of: datetime) -> None:
    """Renews what Redis holds of each customer's newest row, and publishes anew the customers it holds otherwise.

    Once a day a customer is computed from its stored activity, so that the history shows how time has moved it.
    """
    recompute([customer.customer_id for customer in customers if customer.is_a_day_old])
    renewed = [customer for customer in customers if customer.sequence is not None and not customer.is_a_day_old]
    live = registry.get().live
    versions = {name: live[name] for name in MOVED if name in live}
    names = [MOVED[name] for name in versions]
    publish(store.renew(moved_by_time(renewed, as_of=as_of), as_of=as_of, versions=versions, names=names))


def moved_by_time(customers: Sequence[Renewable], *, as_of: datetime) -> list[Moved]:
    """The customers' rows with the values of MOVED at `as_of`, where there is a purchase to grow older."""
    purchases = np.array([customer.last_purchase_us for customer in customers], dtype=np.int64)
    recency = recency_score(purchases, as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS)
    scores = rfm_score(
        recency,
        frequency=np.array([customer.frequency_score for customer in customers]),
        monetary=np.array([customer.monetary_score for customer in customers]),
    )
    columns = zip(customers, zip(recency.tolist(), scores.tolist(), strict=True), strict=True)
    return [
        Moved(customer.customer_id, customer.sequence or 0, None if customer.last_purchase_us == NEVER else values)
        for customer, values in columns
    ]


def recompute(customer_ids: Sequence[str]) -> None:
    """Computes and publishes the customers from their stored activity; reads no event."""
    if not customer_ids:
        return
    with transaction.atomic():
        lock(customer_ids)
        marks = mark(customer_ids)
        compute_from_history(customer_ids)
    publish(customer_ids)
    settle(marks)


def seconds_since_renewal(*, now: datetime) -> float:
    """The age of the oldest renewal that active customers live on; 0 where none is active.

    Beyond FEATURE_TTL the refresh has fallen behind: Redis has lost customers that it should hold.
    """
    active = Customer.objects.filter(recompute_at__isnull=False)
    departed: datetime | None = active.aggregate(oldest=Min("recompute_at"))["oldest"]
    if departed is None:
        return 0.0
    renewed: datetime = Renewal.objects.aggregate(oldest=Min(Coalesce(F("renewed_at"), F("due_at"))))["oldest"]
    return max((now - min(departed, renewed)).total_seconds(), 0.0)
