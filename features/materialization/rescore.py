"""Score customers under new weights, from stored activity; no event is read."""

from collections.abc import Sequence

from django.db.models import F
from django.db.models.functions import Now

from features.materialization.compute import Recomputed, compute_from_history
from features.materialization.pipeline import Claim, process
from features.materialization.runs import earlier_sets, overtaken
from features.models import Customer, Run
from features.offline.history import RowContents

RESCORED_PER_CHUNK = 2_000


def rescore(run: Run, *, limit: int = RESCORED_PER_CHUNK) -> int:
    """Score the next customers that were computed under earlier weights. Return their number.

    Returns 0 as well where weights that were activated later have a run: that run does the work.
    """

    def claim() -> Claim | None:
        if overtaken(run):
            return None
        # The sets as a list instead of a subquery, and no order: so PostgreSQL reads one chunk of the index of
        # `weight_set`, and no more.
        waiting = Customer.objects.filter(weight_set__in=earlier_sets(run)).select_for_update(skip_locked=True)
        claimed = list(waiting.values_list("pk", flat=True)[:limit])
        return Claim(customer_ids=claimed) if claimed else None

    def compute(customer_ids: Sequence[str]) -> Recomputed | RowContents:
        computed = compute_from_history(customer_ids)
        Run.objects.filter(pk=run.pk).update(done=F("done") + len(customer_ids), updated_at=Now())
        return computed

    claimed = process(claim, compute=compute)
    return 0 if claimed is None else len(claimed.customer_ids)
