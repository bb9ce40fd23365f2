"""Checks of consistency: random customers' values in Redis and in the history are those that the events give.

A check compares a random sample in chunks (`expected` says what with what), in a run of its own.

1. Without any lock, a chunk is read and compared. Nearly everybody matches, and that was it for them.
2. For those who don't, the same is done again at one moment: their locks are held, so nobody computes or writes them.
   Customers that somebody else holds, or who have a mark, an entry of the outbox or a running recomputation, have
   values on their way: they are no error, are postponed, and are looked at again some seconds later.
3. Who differs then is wrong, is kept with what was found, and can be repaired: computed anew from the events and
   published over whatever Redis holds.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import scipy
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from events.models import DirtyCustomer
from features.formulas.activity import Bools
from features.materialization import runs
from features.materialization.locks import database_now, lock_free_customers
from features.materialization.repair import repair_customers
from features.models import ConsistencyCheck, Customer, InconsistentCustomer, Run
from features.monitoring.compared import Against, ComparedColumn, findings_at, is_wrong
from features.monitoring.expected import compared_columns
from features.monitoring.material import read_material
from features.monitoring.random_customers import draw_customers
from features.monitoring.tallies import added, tally
from features.online.outbox import unpublished
from features.registry.snapshot import registry_snapshot

CUSTOMERS_PER_COMPARISON = 250
REPAIRED_PER_CHUNK = 100
# How often postponed customers are taken up again, some seconds apart.
ROUNDS = 3
CHECKS_KEPT = timedelta(days=30)
GIVEN_UP_AFTER = timedelta(hours=6)
CHECK_TOO_LONG = "It was not done after 6 hours. Were Redis, PostgreSQL or the worker away?"


def sample_size(*, rate: float, confidence: float) -> int:
    """Return how many random customers hold, with this probability, a wrong one if a share of `rate` is wrong.

    The probability that n customers hold none is (1 − rate)ⁿ.
    """
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def largest_share(*, wrong: int, compared: int, confidence: float) -> float:
    """Return the share of all customers of which fewer are wrong, with this confidence (Clopper and Pearson's bound).

    1.0 where nothing was compared.
    """
    if compared <= wrong:
        return 1.0
    return float(scipy.special.betaincinv(wrong + 1, compared - wrong, confidence))


def share_below(check: ConsistencyCheck) -> float:
    """Return the share of all customers of which fewer were wrong; the share itself where everybody was compared."""
    if check.is_everybody and check.compared:
        return check.wrong / check.compared
    return largest_share(wrong=check.wrong, compared=check.compared, confidence=check.confidence)


# --- The run ----------------------------------------------------------------------------------------------------------


def begin_check(*, now: datetime) -> Run | None:
    """Return the run of a new check, or the running one. None while everybody is recomputed: values are on their way.

    Checks older than CHECKS_KEPT are deleted.
    """
    checks = Run.objects.filter(kind=Run.Kind.CHECK)
    checks.filter(started_at__lt=now - CHECKS_KEPT).delete()
    given_up = checks.filter(state=Run.State.RUNNING, started_at__lt=now - GIVEN_UP_AFTER)
    given_up.update(state=Run.State.FAILED, error=CHECK_TOO_LONG, updated_at=Now())
    if is_recomputing():
        return None
    with transaction.atomic():
        run = runs.begin_run(Run.Kind.CHECK, total=0)
        Run.objects.select_for_update().get(pk=run.pk)
        if not ConsistencyCheck.objects.filter(run=run).exists():
            begin_sample(run)
    return run


def begin_sample(run: Run) -> None:
    """Draw the sample of a new check."""
    rate, confidence = settings.CONSISTENCY_RATE, settings.CONSISTENCY_CONFIDENCE
    customer_ids, is_everybody = draw_customers(sample_size(rate=rate, confidence=confidence))
    runs.set_total(run, total=len(customer_ids))
    ConsistencyCheck.objects.create(
        run=run, rate=rate, confidence=confidence, is_everybody=is_everybody, waiting=customer_ids
    )


def check_next(run: Run, *, limit: int = CUSTOMERS_PER_COMPARISON) -> int:
    """Compare the next customers of the sample. Return their number, 0 where none waits or another worker has them.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    with transaction.atomic():
        checks = ConsistencyCheck.objects.select_for_update(skip_locked=True, of=("self",))
        check = checks.filter(run=run, run__state=Run.State.RUNNING).first()
        if check is None:
            return 0
        chunk = check.waiting[:limit]
        if chunk:
            check.waiting = check.waiting[limit:]
            compare_chunk(check, chunk)
        elif check.postponed and check.rounds < ROUNDS:
            # The sweep of stalled runs goes on, some seconds later.
            check.waiting, check.postponed, check.rounds = check.postponed, [], check.rounds + 1
        else:
            finish_check(check)
        check.save()
        Run.objects.filter(pk=run.pk).update(done=check.compared + check.unsettled, updated_at=Now())
    return len(chunk)


def finish_check(check: ConsistencyCheck) -> None:
    """End the check, and begin to repair what it found if the settings say so."""
    check.unsettled, check.postponed = len(check.postponed), []
    runs.finish_run(check.run)
    if settings.CONSISTENCY_REPAIR:
        begin_repair(check)


def compare_chunk(check: ConsistencyCheck, customer_ids: Sequence[str]) -> None:
    """Compare these customers, the differing ones a second time under their locks, and note the outcome."""
    known = registry_snapshot.get(younger_than=0)
    # Erased customers are in no sample any more.
    customer_ids = sorted(Customer.objects.filter(pk__in=customer_ids).values_list("pk", flat=True))
    if not customer_ids:
        return
    material = read_material(customer_ids, as_of=database_now(), known=known)
    columns = compared_columns(material)
    is_suspicious = is_wrong(columns, customers=len(customer_ids)) | ~material.is_settled
    count_in(check, customer_ids, columns, counted=~is_suspicious)
    check.not_cached += int(np.count_nonzero(~material.is_cached() & ~is_suspicious))
    suspicious = [customer_ids[place] for place in np.flatnonzero(is_suspicious)]
    if suspicious:
        compare_again(check, suspicious)


def compare_again(check: ConsistencyCheck, customer_ids: Sequence[str]) -> None:
    """Compare customers while nobody computes or writes them; those with values on their way are postponed.

    What is on its way is asked for before Redis is read and after the events are: whoever publishes deletes its note
    only afterwards, and events come with a mark.
    """
    free = sorted(lock_free_customers(customer_ids))
    check.postponed += sorted(set(customer_ids).difference(free))
    if not free:
        return
    on_their_way = with_values_on_their_way(free)
    material = read_material(free, as_of=database_now(), known=registry_snapshot.get(younger_than=0))
    columns = compared_columns(material)
    on_their_way |= with_values_on_their_way(free)
    is_counted = material.is_settled & ~np.isin(free, sorted(on_their_way))
    check.postponed += [free[place] for place in np.flatnonzero(~is_counted)]
    count_in(check, free, columns, counted=is_counted)
    check.not_cached += int(np.count_nonzero(~material.is_cached() & is_counted))


def with_values_on_their_way(customer_ids: Sequence[str]) -> set[str]:
    """Return those of the customers that something in PostgreSQL says are to be computed or published."""
    if is_recomputing():
        return set(customer_ids)
    marked = DirtyCustomer.objects.filter(customer_id__in=customer_ids).values_list("customer_id", flat=True)
    announced = unpublished().filter(customer_ids__overlap=list(customer_ids))
    return {*marked, *(each for ids in announced.values_list("customer_ids", flat=True) for each in ids)}


def is_recomputing() -> bool:
    """Return whether a run computes everybody from their events; its chunks are published after they are committed."""
    return Run.objects.filter(kind=Run.Kind.RECOMPUTE, state=Run.State.RUNNING).exists()


def count_in(
    check: ConsistencyCheck, customer_ids: Sequence[str], columns: Sequence[ComparedColumn], *, counted: Bools
) -> None:
    """Count these customers into the check, and keep what was found wrong."""
    places = np.flatnonzero(is_wrong(columns, customers=len(customer_ids)) & counted).tolist()
    check.features = added(check.features, [tally(column, counted) for column in columns])
    check.compared += int(np.count_nonzero(counted))
    check.wrong += len(places)
    InconsistentCustomer.objects.bulk_create(
        InconsistentCustomer(
            check_made=check, customer_id=customer_ids[place], findings=list(findings_at(columns, place))
        )
        for place in places
    )


# --- Repair -----------------------------------------------------------------------------------------------------------


def begin_repair(check: ConsistencyCheck) -> Run | None:
    """Begin to repair the customers that the check found wrong, unless somebody has. Return the run.

    None where nobody is left to repair.
    """
    with transaction.atomic():
        ConsistencyCheck.objects.select_for_update().get(pk=check.pk)
        check.refresh_from_db(fields=["repair_run"])
        left = to_repair(check).count()
        if left and (check.repair_run is None or check.repair_run.state != Run.State.RUNNING):
            check.repair_run = Run.objects.create(kind=Run.Kind.REPAIR, total=left)
            check.save(update_fields=["repair_run"])
            transaction.on_commit(partial(runs.enqueue_run, check.repair_run))
    return check.repair_run if left else None


def to_repair(check: ConsistencyCheck) -> QuerySet[InconsistentCustomer]:
    """Return the customers that the check found wrong and that were not repaired since."""
    return check.inconsistent.filter(repaired_at__isnull=True)


def repair_next(run: Run, *, limit: int = REPAIRED_PER_CHUNK) -> int:
    """Repair the next customers of the run's check. Return their number, 0 where none is left.

    A worker that dies leaves them unrepaired, and they are repaired again.
    """
    waiting = InconsistentCustomer.objects.filter(check_made__repair_run=run, repaired_at__isnull=True)
    chunk = list(waiting.order_by("pk")[:limit])
    if not chunk:
        runs.finish_run(run)
        return 0
    is_stored_wrong = [any(each["comparison"] == Against.STORED for each in row.findings) for row in chunk]
    for anew in (True, False):
        wanted = [row.customer_id for row, is_stored in zip(chunk, is_stored_wrong, strict=True) if is_stored == anew]
        if wanted:
            repair_customers(wanted, anew=anew)
    with transaction.atomic():
        repaired = waiting.filter(pk__in=[row.pk for row in chunk]).update(repaired_at=Now())
        runs.advance_run(run, by=repaired)
    return len(chunk)


# --- Results ----------------------------------------------------------------------------------------------------------


def finished_checks() -> QuerySet[ConsistencyCheck]:
    """Return the checks that are done, newest first, with their runs."""
    return ConsistencyCheck.objects.filter(run__state=Run.State.DONE).select_related("run", "repair_run")
