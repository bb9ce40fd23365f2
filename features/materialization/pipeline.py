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

from django.db import DatabaseError, transaction

from features.materialization.compute import Recomputed
from features.materialization.isolation import is_of_the_statement, put_failing_aside
from features.materialization.locks import lock_customers
from features.materialization.publish_delta import publish_delta
from features.online.outbox import announce, settle
from features.online.publish import publish
from features.online.store import delete_hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Customers whose rows the transaction holds, and how the work ends after they were published.

    Before that, the hashes of the customers in `outdated` are deleted: of erased customers, who are not among
    `customer_ids`, and of those whose hashes are wrong, since publishing alone keeps what has an equal or later stamp.
    """

    customer_ids: Sequence[str]
    settle: Callable[[], object]
    outdated: set[str] = field(default_factory=set)


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

    Where the statement that computes fails, nothing is changed but that failing versions are put aside: the error is
    raised, and the next attempt computes the others.
    """
    claimed = None
    try:
        with transaction.atomic():
            claimed = claim()
            if claimed is None:
                return None
            recomputed = compute(claimed.customer_ids)
    except DatabaseError as error:
        if claimed is not None and is_of_the_statement(error):
            put_failing_aside(claimed.customer_ids)
        raise
    publish_claimed(claimed, recomputed)
    return claimed


def publish_claimed(claimed: Claim, recomputed: Recomputed | None = None) -> None:
    """Publish and settle, after the commit."""
    delete_hashes(claimed.outdated)
    if recomputed is None:
        publish(claimed.customer_ids)
    else:
        publish_delta(claimed.customer_ids, recomputed)
    claimed.settle()
