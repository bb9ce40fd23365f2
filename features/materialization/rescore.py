"""Score customers under new weights, from stored activity; no event is read."""

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from features.materialization.compute import compute_from_history
from features.materialization.publish_delta import publish_delta
from features.materialization.runs import earlier_sets, overtaken
from features.models import Customer, Run
from features.online.outbox import announce, settle

RESCORED_PER_CHUNK = 2_000


def rescore(run: Run, *, limit: int = RESCORED_PER_CHUNK) -> int:
    """Scores the next customers that were computed under other weights; reads no events. Returns how many.

    None where other weights are active by now: the run that they started does the work.
    """
    with transaction.atomic():
        # A list, not a subquery, and in no order: so the index of `weight_set` gives a chunk without looking further.
        claimed = []
        if not overtaken(run):
            waiting = Customer.objects.filter(weight_set__in=earlier_sets(run)).select_for_update(skip_locked=True)
            claimed = list(waiting.values_list("pk", flat=True)[:limit])
        if not claimed:
            return 0
        publication = announce(claimed)
        recomputed = compute_from_history(claimed)
        Run.objects.filter(pk=run.pk).update(done=F("done") + len(claimed), updated_at=Now())
    publish_delta(claimed, recomputed)
    settle(publication)
    return len(claimed)
