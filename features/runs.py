"""Long work: how far it is, when it ends, and when nobody goes on with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Now

from features.models import Customer, Run, WeightSet

STALLED_AFTER = timedelta(seconds=10)
REFRESHES_KEPT = timedelta(days=7)


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


def begin(kind: Run.Kind, *, total: int, as_of: datetime | None = None) -> Run:
    """The running run of a kind that runs one at a time: somebody else's, or a new one."""
    Run.objects.bulk_create([Run(kind=kind, total=total, as_of=as_of)], ignore_conflicts=True)
    return Run.objects.get(kind=kind, state=Run.State.RUNNING)


def advance(run: Run | None, *, by: int) -> None:
    """Notes progress, and that somebody goes on with the run."""
    if run is not None:
        Run.objects.filter(pk=run.pk).update(done=F("done") + by, updated_at=Now())


def finish(run: Run) -> None:
    """Ends a run that has nothing left to do."""
    Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(state=Run.State.DONE, updated_at=Now())


@contextmanager
def failing(run: Run) -> Iterator[None]:
    """Notes on the run why the block failed, where it did."""
    try:
        yield
    except Exception as error:
        failed = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
        failed.update(state=Run.State.FAILED, error=str(error), updated_at=Now())
        raise


def begin_refresh(*, total: int) -> Run | None:
    """The refresh that is under way, or a new one; None where there is nothing to renew and none under way."""
    under_way = Run.objects.filter(kind=Run.Kind.REFRESH, state=Run.State.RUNNING).first()
    if under_way is None and total:
        return begin(Run.Kind.REFRESH, total=total)
    return under_way


def finish_refresh() -> None:
    """Ends the refresh that is under way; what earlier ones did is kept for a week."""
    refreshes = Run.objects.filter(kind=Run.Kind.REFRESH)
    if refreshes.filter(state=Run.State.RUNNING).update(state=Run.State.DONE, updated_at=Now()):
        refreshes.filter(started_at__lt=Now() - REFRESHES_KEPT).delete()


def stalled() -> list[int]:
    """Runs that should go on but have not for a while."""
    waiting = Run.objects.filter(kind=Run.Kind.RESCORE, state=Run.State.RUNNING, updated_at__lt=Now() - STALLED_AFTER)
    return list(waiting.values_list("pk", flat=True))
