"""Runs: the progress of long work, its end, and how it is resumed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from featurehub.lib.enqueue import enqueue
from features.materialization.isolation import is_passing
from features.models import Customer, FeatureVersion, Renewal, Run, RunChunk, WeightSet
from features.online.outbox import PUBLICATION_TIME
from features.registry.snapshot import SWITCH_AFTER

ENDED_EARLY = "The process that prepared this run ended before it was done. It has changed nothing: start it again."
STALLED_AFTER = timedelta(seconds=10)
# Kind → the task that goes on with a run; runs of the other kinds are not done in turns.
TASK_NAMES: Mapping[str, str] = {
    Run.Kind.RESCORE: "features.rescore",
    Run.Kind.RECOMPUTE: "features.recompute",
    Run.Kind.THINNING: "features.thin_out",
    Run.Kind.CHECK: "features.check",
    Run.Kind.REPAIR: "features.repair",
    Run.Kind.BACKFILL: "features.backfill",
    Run.Kind.LISTS: "features.fill_lists",
}
REFRESHES_KEPT = timedelta(days=7)


def earlier_sets(run: Run) -> list[int]:
    """Return the ids of the weight sets, of all versions, that the run re-scores customers from.

    A customer is noted with the set that was activated last of all that it was computed under. Customers noted with a
    set that was activated later than the run's are not the work of this run.
    """
    assert run.weight_set is not None
    return activated_before(run.weight_set)


def activated_before(weight_set: WeightSet) -> list[int]:
    """Return the ids of the sets that were activated before this one."""
    return list(WeightSet.objects.filter(activated_at__lt=weight_set.activated_at).values_list("pk", flat=True))


def overtaken(run: Run) -> bool:
    """Return whether weights that were activated later, of any version, have a run.

    That run does what is left of this one.
    """
    assert run.weight_set is not None
    return Run.objects.filter(weight_set__activated_at__gt=run.weight_set.activated_at).exists()


def finish_rescore(run: Run) -> bool:
    """End the run where no customer is left under earlier weights. Return False where another worker still has some."""
    unfinished = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    if overtaken(run):
        unfinished.update(state=Run.State.OVERTAKEN, updated_at=Now())
        return True
    if Customer.objects.filter(weight_set__in=earlier_sets(run)).exists():
        return False
    with transaction.atomic():
        # Customers that a refresh computed meanwhile are under the new weights without the run having touched them.
        unfinished.update(state=Run.State.DONE, done=F("total"), updated_at=Now())
        switch_readers(awaiting(run))
    return True


def awaiting(run: Run) -> QuerySet[FeatureVersion]:
    """Return the versions whose readers are switched as soon as everybody is scored with the weights of the run."""
    assert run.weight_set is not None
    scored = {
        "weight_sets__state": WeightSet.State.ACTIVE,
        "weight_sets__activated_at__lte": run.weight_set.activated_at,
    }
    return FeatureVersion.objects.filter(is_awaiting_scores=True, **scored)


def switch_readers(versions: QuerySet[FeatureVersion]) -> None:
    """Let readers be switched to these live versions SWITCH_AFTER from now, at one moment in all processes.

    From then on Redis gets the active customers' values of it, bucket by bucket; until a customer's turn comes,
    PostgreSQL answers. A version that readers have still keeps its date: without it they would have none until then.
    """
    read = [row for row in versions if row == version_read(row.feature_type)]
    switched = FeatureVersion.objects.filter(pk__in=[row.pk for row in versions if row not in read])
    FeatureVersion.objects.filter(pk__in=[row.pk for row in read]).update(is_awaiting_scores=False)
    # Now() is the time of this statement, after the locks: of two versions the later one has the later moment.
    if switched.update(live_from=Now() + SWITCH_AFTER, is_awaiting_scores=False):
        Renewal.objects.update(due_at=switched.order_by("-live_from").values("live_from")[:1])


def version_read(feature_type: str) -> FeatureVersion | None:
    """Return the version that readers get now who ask for none. A version's state changes earlier."""
    dated = FeatureVersion.objects.filter(feature_type=feature_type, live_from__lte=Now())
    return dated.order_by("live_from").last()


def catch_up() -> list[Run]:
    """Reopen the run of the last activated weights where it left customers behind. Return it in a list, empty if none.

    Such a customer is new: its first computation began before the activation, and was committed after the run had
    looked for customers. The list is empty where nobody is left, and while a re-score or recomputation runs: both take
    these weights.
    """
    with transaction.atomic():
        activated = WeightSet.objects.filter(activated_at__isnull=False).order_by("activated_at", "pk")
        last = activated.select_for_update(of=("self",)).last()
        rescores = Run.objects.filter(kind=Run.Kind.RESCORE)
        at_it = Run.objects.filter(kind__in=(Run.Kind.RESCORE, Run.Kind.RECOMPUTE), state=Run.State.RUNNING)
        if last is None or at_it.exists():
            return []
        left = Customer.objects.filter(weight_set__in=activated_before(last)).count()
        if not left:
            return []
        run = rescores.filter(weight_set=last).first() or Run.objects.create(kind=Run.Kind.RESCORE, weight_set=last)
        opened = Run.objects.filter(pk=run.pk)
        opened.update(state=Run.State.RUNNING, total=F("done") + left, updated_at=Now())
    return list(opened)


def enqueue_run(run: Run) -> None:
    """Send the task that goes on with the run. Where the message is lost, the sweep of stalled runs sends it again."""
    enqueue(TASK_NAMES[run.kind], run.pk)


def begin_run(kind: Run.Kind, *, total: int, as_of: datetime | None = None) -> Run:
    """Return the running run of a kind that runs one at a time: one that was begun before, or a new one."""
    while True:
        Run.objects.bulk_create([Run(kind=kind, total=total, as_of=as_of)], ignore_conflicts=True)
        run = under_way(kind)
        if run is not None:  # None where the one begun before has ended meanwhile
            return run


def under_way(kind: Run.Kind) -> Run | None:
    """Return the running run of a kind that runs one at a time, None where there is none."""
    return Run.objects.filter(kind=kind, state=Run.State.RUNNING).first()


def advance_run(run: Run | None, *, by: int) -> None:
    """Add to a run's progress and note that it is being worked on. None is no run."""
    if run is not None:
        Run.objects.filter(pk=run.pk).update(done=F("done") + by, updated_at=Now())


def finish_run(run: Run) -> None:
    """End a run that has nothing left to do, also where some of it was done and not counted."""
    running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    running.update(state=Run.State.DONE, done=F("total"), updated_at=Now())


@contextmanager
def failing(run: Run) -> Iterator[None]:
    """Mark the run as failed where the block raises an exception, unless the next attempt may do without it."""
    try:
        yield
    except Exception as error:
        if not is_passing(error):
            fail(run, because=str(error))
        raise


def fail(run: Run, *, because: str) -> bool:
    """Mark the run as failed, unless it has ended. Return whether this call did.

    A version that a recomputation has taken up stays put aside.
    """
    with transaction.atomic():
        running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
        failed = running.update(state=Run.State.FAILED, error=because, updated_at=Now())
        if failed and run.kind == Run.Kind.RECOMPUTE:
            FeatureVersion.objects.filter(runs=run, is_taken_up=True).update(is_taken_up=False)
    return bool(failed)


def finish_refresh() -> None:
    """End the refresh that is under way, and delete the runs of refreshes older than REFRESHES_KEPT.

    Its total may have been an estimate, and becomes what was done.
    """
    refreshes = Run.objects.filter(kind=Run.Kind.REFRESH)
    if refreshes.filter(state=Run.State.RUNNING).update(state=Run.State.DONE, total=F("done"), updated_at=Now()):
        refreshes.filter(started_at__lt=Now() - REFRESHES_KEPT).delete()


def set_total(run: Run, *, total: int) -> None:
    """Set the number of items that the run has to do."""
    Run.objects.filter(pk=run.pk).update(total=total, updated_at=Now())


def add_chunks(run: Run, *, numbers: Iterable[int]) -> None:
    """Add the run's chunks, unless some of it is done already."""
    if not run.done:
        RunChunk.objects.bulk_create([RunChunk(run=run, number=number) for number in numbers], ignore_conflicts=True)


def claim_chunk(run: Run) -> RunChunk | None:
    """Claim the next due chunk, until the transaction ends and for PUBLICATION_TIME. Return None where none is due.

    A worker that dies in its transaction frees the chunk at once. One that dies later leaves it until it is due again.
    """
    due = run.chunks.filter(due_at__lte=Now()).order_by("number")
    chunk = due.select_for_update(skip_locked=True).first()
    if chunk is not None:
        run.chunks.filter(pk=chunk.pk).update(due_at=Now() + PUBLICATION_TIME)
    return chunk


def settle_chunk(chunk: RunChunk, *, done: int) -> None:
    """Delete a chunk that was published, and count it. Idempotent, even if a worker presumed dead finishes later.

    In one transaction: a run whose last chunk is deleted and not counted would be taken for one that ended early.
    """
    with transaction.atomic():
        deleted, _ = RunChunk.objects.filter(pk=chunk.pk).delete()
        if deleted:
            advance_run(chunk.run, by=done)


def finish_chunks(run: Run) -> bool:
    """End the run where it has no chunk left. Return whether this call marked it as done.

    A run with less done than its total never had chunks, because its process ended too early. It is marked as failed.
    """
    if run.chunks.exists():
        return False
    running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    if running.filter(done__lt=F("total")).exists():
        fail(run, because=ENDED_EARLY)
    return bool(running.update(state=Run.State.DONE, updated_at=Now()))


def stalled_runs() -> list[Run]:
    """Return the runs that nobody has gone on with for STALLED_AFTER. A run whose row is locked is being worked on."""
    waiting = Run.objects.filter(kind__in=TASK_NAMES, state=Run.State.RUNNING, updated_at__lt=Now() - STALLED_AFTER)
    with transaction.atomic():
        return list(waiting.select_for_update(skip_locked=True))
