"""Long work: how far it is, when it ends, and when nobody goes on with it."""

from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now

from features.models import Customer, Run, WeightSet

STALLED_AFTER = timedelta(seconds=10)


def earlier_sets(run: Run) -> list[int]:
    """The sets that customers may still be scored under when a run re-scores them under its own."""
    return list(WeightSet.objects.filter(activated_at__isnull=False).exclude(runs=run).values_list("pk", flat=True))


def overtaken(run: Run) -> bool:
    """Whether other weights were activated since the run was started."""
    return not WeightSet.objects.filter(runs=run, state=WeightSet.State.ACTIVE).exists()


def finish_rescore(run: Run) -> bool:
    """Ends the run where no customer is left under other weights. Returns False where another worker still has some."""
    unfinished = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    if overtaken(run):
        unfinished.update(state=Run.State.OVERTAKEN, updated_at=Now())
        return True
    if Customer.objects.filter(weight_set__in=earlier_sets(run)).exists():
        return False
    # Customers that a refresh computed meanwhile are under the new weights without the run having touched them.
    unfinished.update(state=Run.State.DONE, done=F("total"), updated_at=Now())
    return True


def stalled() -> list[int]:
    """Runs that should go on but have not for a while."""
    waiting = Run.objects.filter(kind=Run.Kind.RESCORE, state=Run.State.RUNNING, updated_at__lt=Now() - STALLED_AFTER)
    return list(waiting.values_list("pk", flat=True))
