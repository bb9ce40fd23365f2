"""The one sequence by which values change: claim → compute → announce → publish → settle.

    1. Claim: in one transaction, find the customers and lock them.
    2. Compute: read `as_of` from PostgreSQL's clock, compute, append the rows that changed.
    3. Announce: in the same transaction, write an entry with the customers into the outbox.
    4. Commit.
    5. Publish the customers' rows that PostgreSQL says are the newest.
    6. Settle: note that the entry was published, and delete the mark or the chunk of a run that the claim took.

A process that dies before 4 has changed nothing. One that dies before 6 leaves the entry, the mark or the chunk; the
worker that finds it repeats the work, to the same result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from featurehub.lib.redis_away import REDIS_AWAY
from featurehub.observability.tracing import tracing
from features.materialization.compute import Recomputed
from features.materialization.isolation import isolating, put_broken_aside
from features.materialization.locks import lock_customers
from features.materialization.publish_delta import publish_delta
from features.offline.history import NO_CONTENTS, RowContents
from features.online.outbox import announce, hand_over, settle
from features.online.publish import publish, unpublish
from features.online.store import delete_hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Customers whose rows the transaction holds, and what else is to be done after they were published.

    `erased` customers are not computed: their hashes are deleted for good. Those in `wrong` are deleted before they are
    published, since publishing alone keeps what has an equal or later stamp.
    """

    customer_ids: Sequence[str]
    settle: Callable[[], object] = lambda: None
    erased: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)


def claim_customers(customer_ids: Sequence[str]) -> Claim:
    """Lock these customers."""
    lock_customers(customer_ids)
    return Claim(customer_ids=customer_ids)


def process(
    claim: Callable[[], Claim | None], *, compute: Callable[[Sequence[str]], Recomputed | RowContents]
) -> Claim | None:
    """Run the whole sequence once. Return what was claimed; None where there was nothing to claim.

    `compute` appends rows of the claimed customers, and returns the result of a computation from stored activity, or
    the contents of the rows for one from events. Raises redis' ConnectionError or TimeoutError where it is away: the
    sweep publishes then.

    Where versions can't be computed, the transaction is rolled back, they are put aside, and another one claims and
    computes the others.
    """
    claimed: Claim | None = None
    entry: int | None = None

    def claim_and_compute() -> Recomputed | RowContents:
        nonlocal claimed, entry
        with transaction.atomic():
            claimed = claim()
            if claimed is None:
                return NO_CONTENTS
            with tracing.span("compute", customers=len(claimed.customer_ids)):
                computed = compute(claimed.customer_ids)
            entry = announce([*claimed.customer_ids, *claimed.erased])
            return computed

    computed = isolating(claim_and_compute, customer_ids=lambda: [] if claimed is None else claimed.customer_ids)
    if claimed is not None:
        put_broken_aside()
        publish_claimed(claimed, entry, computed)
    return claimed


def publish_claimed(claimed: Claim, entry: int | None, computed: Recomputed | RowContents = NO_CONTENTS) -> None:
    """Publish and settle, after the commit. Where Redis is away, the entry is the sweep's from now on."""
    try:
        with tracing.span("publish", customers=len(claimed.customer_ids)):
            unpublish(claimed.erased)
            delete_hashes(claimed.wrong)
            if isinstance(computed, Recomputed):
                publish_delta(claimed.customer_ids, computed)
            else:
                publish(claimed.customer_ids, contents=computed)
    except REDIS_AWAY:
        hand_over(entry)
        raise
    settle(entry)
    claimed.settle()
