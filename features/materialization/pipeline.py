"""The one sequence by which values change: claim → compute → announce → publish → settle.

    1. Claim: in one transaction, find the customers and lock them.
    2. Compute: read `as_of` from PostgreSQL's clock, compute, append the rows that changed.
    3. Announce: in the same transaction, note which customers are to be published. A mark or a chunk of a run that the
       claim took is such a note already; else the note is an entry in the outbox.
    4. Commit.
    5. Publish the customers from what PostgreSQL holds.
    6. Settle: delete the note.

A process that dies before 4 has changed nothing. One that dies before 6 leaves the note; the worker that finds it
repeats the work, to the same result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from django.db import transaction

from features.materialization.compute import Recomputed
from features.materialization.isolation import isolating
from features.materialization.locks import lock_customers
from features.materialization.publish_delta import publish_delta
from features.online.outbox import announce, settle
from features.online.publish import publish
from features.online.store import delete_hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Customers whose rows the transaction holds, and how the work ends after they were published.

    `erased` customers are not computed: their hashes are deleted.
    """

    customer_ids: Sequence[str]
    settle: Callable[[], object]
    erased: set[str] = field(default_factory=set)


def announced(customer_ids: Sequence[str]) -> Claim:
    """Return a claim whose note is an entry in the outbox, written in the caller's transaction."""
    return Claim(customer_ids=customer_ids, settle=partial(settle, announce(customer_ids)))


def claim_customers(customer_ids: Sequence[str]) -> Claim:
    """Lock these customers and announce their publication."""
    lock_customers(customer_ids)
    return announced(customer_ids)


def process(
    claim: Callable[[], Claim | None], *, compute: Callable[[Sequence[str]], Recomputed | None]
) -> Claim | None:
    """Run the whole sequence once. Return what was claimed; None where there was nothing to claim.

    `compute` appends rows of the claimed customers and returns the result of a computation from stored activity, or
    None for one from events. Raises redis' ConnectionError or TimeoutError where it is away: the note stays then.

    Where versions can't be computed, the transaction is rolled back, they are put aside, and another one claims and
    computes the others.
    """
    claimed: Claim | None = None

    def claim_and_compute() -> Recomputed | None:
        nonlocal claimed
        with transaction.atomic():
            claimed = claim()
            return None if claimed is None else compute(claimed.customer_ids)

    recomputed = isolating(claim_and_compute, customer_ids=lambda: [] if claimed is None else claimed.customer_ids)
    if claimed is not None:
        publish_claimed(claimed, recomputed)
    return claimed


def publish_claimed(claimed: Claim, recomputed: Recomputed | None = None) -> None:
    """Publish and settle, after the commit."""
    delete_hashes(claimed.erased)
    if recomputed is None:
        publish(claimed.customer_ids)
    else:
        publish_delta(claimed.customer_ids, recomputed)
    claimed.settle()
