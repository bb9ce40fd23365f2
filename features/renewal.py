"""Renewing active customers before their TTL ends, at a cost that follows those whose values can have changed.

Between two events that come or leave, a customer's values move with time alone, and only where there is a purchase to
grow older. So a renewal reads no event and, of most customers, no value: PostgreSQL says which history row is the
newest, Redis keeps what it has of that row, with a new moment and a new TTL. Customers come in buckets; a worker that
dies leaves its bucket due, and whoever claims it next renews it again, to the same result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Min
from django.db.models.functions import Coalesce, Now

from features import runs, store
from features.computation import compute_from_history, lock
from features.formulas import RFM_SCORE, microseconds, recency_score, rfm_score
from features.marks import mark, settle
from features.models import Customer, FeatureType, Renewal
from features.publishing import publish
from features.registry import registry

BUCKETS_PER_CLAIM = 4
CUSTOMERS_PER_CHUNK = 2_000
# How long a claimed bucket is left to its claimer, at most a quarter of the TTL.
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
select customer.customer_id, row.id, customer.computed_at < %(as_of)s - interval '1 day'
from features_customer customer
left join lateral (
    select id from features_customerfeature
    where customer_id = customer.customer_id and feature_type = 'behavioral' and version = %(version)s
    order by "timestamp" desc, id desc
    limit 1
) row on true
where customer.bucket = any(%(buckets)s) and customer.recompute_at >= %(as_of)s
"""
COMPUTED = (FeatureType.BEHAVIORAL.value, FeatureType.DERIVED.value)
# What rfm_score is made of, and what recency_score is.
MOVED_BY_TIME = "recency_score"
NEEDED_TO_MOVE = ("frequency_score", "monetary_score", f"_{FeatureType.BEHAVIORAL}:metadata")


@dataclass(frozen=True, slots=True)
class Renewable:
    """An active customer; `sequence` is its newest behavioral row's id, None where the live version has none."""

    customer_id: str
    sequence: int | None
    is_a_day_old: bool


def renew(*, limit: int = BUCKETS_PER_CLAIM) -> int:
    """Claims the next buckets that are due and renews their customers. Returns how many buckets there were."""
    buckets, as_of = claim(limit)
    if as_of is None:
        runs.finish_refresh()
        return 0
    run = runs.begin_refresh(total=to_renew(buckets))
    for chunk in store.batched(renewable(buckets, as_of=as_of), CUSTOMERS_PER_CHUNK):
        renew_chunk(chunk, as_of=as_of)
        runs.advance(run, by=len(chunk))
    claimed = Renewal.objects.filter(bucket__in=buckets, renewed_at=as_of)
    claimed.update(due_at=as_of + timedelta(seconds=settings.FEATURE_TTL / 2))
    return len(buckets)


def claim(limit: int) -> tuple[list[int], datetime | None]:
    """Buckets that nobody else renews for the time of the lease, and the moment they are renewed for; None: none."""
    parameters: dict[str, Any] = {"limit": limit, "lease": min(LEASE, timedelta(seconds=settings.FEATURE_TTL / 4))}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        rows = cursor.fetchall()
    return [bucket for bucket, _ in rows], rows[0][1] if rows else None


def to_renew(claimed: Sequence[int]) -> int:
    """How many active customers there are in the claimed buckets and in those that are due beside them."""
    due = Renewal.objects.filter(due_at__lte=Now()).values_list("bucket", flat=True)
    return Customer.objects.filter(bucket__in=[*claimed, *due], recompute_at__isnull=False).count()


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
    sequences = {
        customer.customer_id: customer.sequence
        for customer in customers
        if customer.sequence is not None and not customer.is_a_day_old
    }
    live = registry.get().live
    versions = {name: live[name] for name in COMPUTED if name in live}
    left = store.renew(sequences, as_of=as_of, versions=versions, moved=MOVED_BY_TIME, wanted=NEEDED_TO_MOVE)
    moving = {customer_id: row for customer_id, row in left.items() if row is not None}
    store.move(moved_values(moving, as_of=as_of), sequences=sequences, as_of=as_of, versions=versions)
    publish([customer_id for customer_id, row in left.items() if row is None])


def moved_values(moving: Mapping[str, Sequence[bytes]], *, as_of: datetime) -> dict[str, dict[str, dict[str, float]]]:
    """customer_id → type → the values that time moves, at `as_of`. `moving`: customer_id → NEEDED_TO_MOVE."""
    frequency = np.array([float(row[0]) for row in moving.values()])
    monetary = np.array([float(row[1]) for row in moving.values()])
    purchases = [orjson.loads(row[2])["activity"]["last_purchase_us"] for row in moving.values()]
    recency = recency_score(
        np.array(purchases, dtype=np.int64), as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS
    )
    scores = rfm_score(recency, frequency=frequency, monetary=monetary)
    return {
        customer_id: {FeatureType.BEHAVIORAL: {MOVED_BY_TIME: moved}, FeatureType.DERIVED: {RFM_SCORE: score}}
        for customer_id, moved, score in zip(moving, recency.tolist(), scores.tolist(), strict=True)
    }


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
