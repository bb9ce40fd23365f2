"""Measure the store once a minute: its customers, and what waits to be computed."""

from datetime import datetime

from django.db import transaction

from featurehub.lib.row_estimate import estimate_rows
from featurehub.lib.traffic import Counts
from features.monitoring import overview
from features.monitoring.series import Points, forget_old_points

ALL_CUSTOMERS, ACTIVE_CUSTOMERS = "customers", "active_customers"
DUE_MARKS, OLDEST_MARK_SECONDS = "due_marks", "oldest_mark_seconds"


def measure_store(*, now: datetime) -> None:
    """Add a measurement to the current minute and hour, and at full hours delete what is past its retention."""
    waiting = overview.backlog(now=now)
    values = {
        ALL_CUSTOMERS: overview.customers().number,
        ACTIVE_CUSTOMERS: estimate_rows(overview.with_events_in_the_window()).number,
        DUE_MARKS: waiting.due.number,
        OLDEST_MARK_SECONDS: waiting.oldest_seconds,
    }
    points = Points(now=now)
    for name, value in values.items():
        points.add((name, ()), Counts(1, float(value)), at=now, is_ever=False)
    with transaction.atomic():
        points.write()
        if now.minute == 0:
            forget_old_points(now=now)
