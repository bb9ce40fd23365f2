"""Repair customers: compute them from their events, and publish them over whatever Redis holds."""

from collections.abc import Sequence
from functools import partial

from features.materialization.compute import compute_from_events
from features.materialization.locks import lock_customers
from features.materialization.pipeline import Claim, process


def repair_customers(customer_ids: Sequence[str], *, anew: bool) -> None:
    """Compute the customers from their events, delete their hashes, and publish them.

    `anew`: their newest rows in the history are wrong, so a row is appended wherever one differs at all. Customers who
    were erased meanwhile are left out. Raises redis' ConnectionError or TimeoutError where it is away.
    """

    def claim() -> Claim:
        held = sorted(lock_customers(customer_ids))
        return Claim(customer_ids=held, wrong=set(held))

    process(claim, compute=partial(compute_from_events, anew=anew))
