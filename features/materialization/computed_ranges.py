"""The ranges of moments for which everybody's values of a version are computed: from its shadow on, and backfilled."""

from datetime import datetime, timedelta
from functools import partial
from math import ceil

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from features.materialization.runs import enqueue_run
from features.models import READABLE_STATES, ComputedRange, Customer, FeatureVersion, Run

A_DAY = timedelta(days=1)


def moments_of(span: ComputedRange) -> list[datetime]:
    """Return the moments that a backfill computes: `since`, and the same time of each later day before `until`."""
    assert span.until is not None
    return [span.since + day * A_DAY for day in range(ceil((span.until - span.since) / A_DAY))]


def first_computed(version: FeatureVersion) -> datetime | None:
    """Return the moment from which, without a gap up to now, everybody's values of a version are computed.

    None where the version has no such limit, and before its first values are computed.
    """
    done = ComputedRange.objects.filter(version=version, recorded_at__isnull=False)
    goes_on = done.filter(until=None).first()
    first = goes_on.since if goes_on is not None else None
    for earlier in done.filter(until__isnull=False).order_by("-until"):
        if first is not None and earlier.until is not None and earlier.until >= first:
            first = min(first, earlier.since)
    return first


def request_backfill(version: FeatureVersion, *, since: datetime, until: datetime) -> ComputedRange:
    """Note a range that is to be backfilled, in place of one that was given up."""
    ComputedRange.objects.filter(version=version, recorded_at=None, until__isnull=False).delete()
    return ComputedRange.objects.create(version=version, since=since, until=until)


def begin_backfill(span: ComputedRange) -> Run:
    """Create the run that computes everybody's values on each day of the range; a worker takes it up after the commit.

    Reads have none of its rows until it is done.
    """
    total = Customer.objects.count() * len(moments_of(span))
    run = Run.objects.create(kind=Run.Kind.BACKFILL, version=span.version, total=total)
    ComputedRange.objects.filter(pk=span.pk).update(run=run)
    transaction.on_commit(partial(enqueue_run, run))
    return run


def note_first_values(run: Run) -> None:
    """Note that everybody's first values of the run's version are computed, and begin the backfill that was asked for.

    A version that was computed before keeps its ranges.
    """
    assert run.as_of is not None
    ranges = ComputedRange.objects.filter(version=run.version, recorded_at=None)
    if not ranges.filter(until=None).update(since=run.as_of, recorded_at=Now()):
        return
    requested = ranges.filter(until__isnull=False, run=None, since__lt=run.as_of).select_related("version").first()
    if requested is not None:
        requested.until = run.as_of
        requested.save(update_fields=["until"])
        begin_backfill(requested)


def note_recomputed(first: datetime, *, last: datetime) -> None:
    """Note that everybody was recomputed at these moments and on each day between them, in every computed version."""
    until = last + A_DAY
    computed = FeatureVersion.objects.filter(state__in=READABLE_STATES, put_aside_at=None, computed_ranges__until=None)
    known = ComputedRange.objects.filter(Q(until=None) | Q(until__gte=until), since__lte=first)
    for version in computed.filter(computed_ranges__recorded_at__isnull=False).distinct():
        if not known.filter(version=version, recorded_at__isnull=False).exists():
            ComputedRange.objects.create(version=version, since=first, until=until, recorded_at=Now())
