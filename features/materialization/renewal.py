"""Renew active customers in Redis before their TTL ends, without reading events or history.

Between two events that arrive or leave, a customer's values change by decay alone. PostgreSQL says when each customer
was computed last. Where Redis holds the values of that computation, they get a later moment, a new TTL, and their
decay. Nothing per customer is written to PostgreSQL.

Customers are renewed bucket by bucket. A worker that dies leaves its bucket due at the end of the lease; whoever claims
it next renews it again, to the same result.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Min
from django.db.models.functions import Coalesce, Now

from featurehub.lib.clock import microseconds
from featurehub.lib.redis_away import REDIS_AWAY
from featurehub.lib.row_estimate import estimate_rows
from features.formulas.activity import Ints
from features.materialization import runs
from features.materialization.compute import compute_from_history
from features.materialization.isolation import put_broken_aside
from features.materialization.pipeline import claim_customers, process
from features.models import BUCKET, Customer, Renewal, Run
from features.online import decay
from features.online.publish import publish
from features.online.restamp import restamp
from features.registry.snapshot import registry_snapshot

BUCKETS_PER_CLAIM = 16
RENEWED_PER_CHUNK = 2_000
# The upper limit; see `lease`.
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
# Departed customers are not renewed: `refresh.refresh_departed` computes them from their events. `coalesce` keeps
# PostgreSQL from the index of recompute_at, which nearly all customers match.
RENEWABLE = """
select customer_id, (extract(epoch from computed_at) * 1000000)::bigint
from features_customer
where features_bucket(customer_id) = any(%(buckets)s) and coalesce(recompute_at, '-infinity') >= %(as_of)s
"""


def renew(*, limit: int = BUCKETS_PER_CLAIM) -> int:
    """Claim the next buckets that are due and renew their customers. Return the number of buckets."""
    buckets, as_of = claim_buckets(limit)
    if as_of is None:
        runs.finish_refresh()
        return 0
    put_broken_aside()
    run = runs.under_way(Run.Kind.REFRESH) or begin_refresh_run(buckets)
    # Buckets that were made due again meanwhile stay due; a version that goes live does that.
    claimed = Renewal.objects.filter(bucket__in=buckets, renewed_at=as_of, due_at=as_of + lease())
    renewed = 0
    try:
        for customer_ids, computed_us in renewable(buckets, as_of=as_of):
            renew_chunk(customer_ids, computed_us, as_of=as_of)
            renewed += len(customer_ids)
    except REDIS_AWAY:
        claimed.update(due_at=as_of)
        raise
    with transaction.atomic():
        runs.advance_run(run, by=renewed)
        claimed.update(due_at=as_of + timedelta(seconds=settings.FEATURE_TTL / 2))
    return len(buckets)


def claim_buckets(limit: int) -> tuple[list[int], datetime | None]:
    """Claim the next due buckets for the time of the lease. Return them and the moment for which they are renewed.

    Without due buckets, that moment is None.
    """
    parameters: dict[str, Any] = {"limit": limit, "lease": lease()}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        rows = cursor.fetchall()
    return [bucket for bucket, _ in rows], rows[0][1] if rows else None


def lease() -> timedelta:
    """Return the time for which a claimed bucket is left to its worker: LEASE, or a quarter of a short TTL."""
    return min(LEASE, timedelta(seconds=settings.FEATURE_TTL / 4))


def begin_refresh_run(claimed: Sequence[int]) -> Run | None:
    """Begin the run of a refresh. Return None where there is no active customer to renew.

    Its total is the number of active customers in the claimed buckets and in all other due ones, or an estimate: to
    count a million takes a twentieth of their renewal.
    """
    due = Renewal.objects.filter(due_at__lte=Now()).values_list("bucket", flat=True)
    active = Customer.objects.alias(bucket=BUCKET).filter(bucket__in=[*claimed, *due], recompute_at__isnull=False)
    total = estimate_rows(active).number
    return runs.begin_run(Run.Kind.REFRESH, total=total) if total else None


def renewable(buckets: Sequence[int], *, as_of: datetime) -> Iterator[tuple[Sequence[str], Ints]]:
    """Yield the buckets' active customers that no event has left by `as_of`, in chunks.

    A chunk is their ids, and the moments of their last computations in microseconds since 1970 UTC.
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(RENEWABLE, {"buckets": list(buckets), "as_of": as_of})
        while rows := cursor.fetchmany(RENEWED_PER_CHUNK):
            customer_ids, computed_us = zip(*rows, strict=True)
            yield customer_ids, np.array(computed_us, dtype=np.int64)


def renew_chunk(customer_ids: Sequence[str], computed_us: Ints, *, as_of: datetime) -> None:
    """Restamp the customers' hashes, and publish as a whole where a hash is not of the customer's last computation.

    Customers that were computed more than a day ago are computed from their stored activity instead, so that the
    history has a row a day of values that decay. While a version is taken up, all others are published as a whole:
    which of its values hold longer than until it was put aside, only their rows say.
    """
    is_recent = computed_us >= microseconds(as_of - timedelta(days=1))
    recompute_from_history(decay.at(np.flatnonzero(~is_recent), customer_ids))
    customer_ids, computed_us = decay.at(np.flatnonzero(is_recent), customer_ids), computed_us[is_recent]
    known = registry_snapshot.get()
    if known.taken_up:
        publish(customer_ids)
    elif customer_ids:
        held = decay.read_hash_columns(customer_ids, known=known)
        hashes, others = decay.decayed_hashes(customer_ids, computed_us, held=held, as_of=as_of)
        for each in hashes:
            others += restamp(each, as_of_us=microseconds(as_of))
        publish(list(dict.fromkeys(others)))


def recompute_from_history(customer_ids: Sequence[str]) -> None:
    """Compute and publish the customers from their stored activity; read no event."""
    if customer_ids:
        process(partial(claim_customers, customer_ids), compute=compute_from_history)


def seconds_since_renewal(*, now: datetime) -> float:
    """Return the age, in seconds, of the oldest renewal that active customers depend on; 0 where none is active.

    More than FEATURE_TTL means that the refresh is behind: Redis has lost customers that it should hold.
    """
    active = Customer.objects.filter(recompute_at__isnull=False)
    departed: datetime | None = active.aggregate(oldest=Min("recompute_at"))["oldest"]
    if departed is None:
        return 0.0
    renewed: datetime = Renewal.objects.aggregate(oldest=Min(Coalesce(F("renewed_at"), F("due_at"))))["oldest"]
    return max((now - min(departed, renewed)).total_seconds(), 0.0)
