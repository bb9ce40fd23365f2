"""The alerts of the Overview: what is wrong now, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from featurehub.lib.humanize import ago, duration
from featurehub.lib.redis_away import REDIS_AWAY
from featurehub.lib.traffic import READS, REQUESTS
from features.models import Run
from features.monitoring import consistency, overview
from features.monitoring.measuring import ACTIVE_CUSTOMERS
from features.monitoring.overview import Backlog, StoreState
from features.monitoring.series import Resolution, by_label, last_point, points_of
from features.monitoring.value_alerts import value_watch
from features.online import outbox, store
from features.registry.weight_sets import live_set

# Where a worker is running, a mark waits for about a second.
LATE_AFTER_SECONDS = 10
SILENT_AFTER = timedelta(minutes=3)
LOOKED_BACK = timedelta(minutes=10)
# Shares of what was counted in LOOKED_BACK, and the least number of which a share means anything.
FALLBACKS_ALLOWED, READS_COMPARED = 0.5, 100
# Of unusual values and volumes.
UNUSUAL_SHOWN = 5
RUNBOOK = "docs/operations.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLink:
    """A page that helps, by its name in the admin."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A trouble, in a sentence, and its remedy. `section` is that of the runbook, docs/operations.md."""

    title: str
    to_do: str
    links: Sequence[AlertLink] = ()
    section: str = ""
    tone: str = "warning"

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}, “{self.section}”" if self.section else ""


def list_link(name: str, model: str, query: str = "") -> AlertLink:
    """Return a link to the list of a model, such as "features_run"."""
    return AlertLink(name=name, url=reverse(f"admin:{model}_changelist") + query)


def alerts(state: StoreState) -> list[Alert]:
    """Return all alerts, what keeps readers from right values first."""
    return [
        *redis_alerts(),
        *weight_alerts(),
        *backlog_alerts(state.backlog),
        *beat_alerts(state.now),
        *run_alerts(),
        *consistency_alerts(),
        *traffic_alerts(state.now),
        *unusual_alerts(state.now),
    ]


def redis_alerts() -> Iterator[Alert]:
    try:
        store.occupancy()
    except REDIS_AWAY:
        yield Alert(
            title="Redis does not answer: reads are answered by PostgreSQL, more slowly.",
            to_do="Start Redis again. It is filled by the reads, and ahead of them by manage.py rebuild_cache.",
            section="Failures",
            tone="danger",
        )
    overdue = outbox.overdue().count()
    if overdue:
        yield Alert(
            title=f"{overdue:,} committed changes have not reached Redis in time.",
            to_do="See that Redis accepts writes (disk full, a replica?) and that a worker is running.",
            links=[list_link("Periodic tasks", "django_celery_beat_periodictask")],
            section="Failures",
        )


def weight_alerts() -> Iterator[Alert]:
    if live_set() is None:
        yield Alert(
            title="No weight set is active: nobody can be scored.",
            to_do="Activate a weight set of the live version.",
            links=[list_link("Weight sets", "features_weightset")],
            tone="danger",
        )


def backlog_alerts(waiting: Backlog) -> Iterator[Alert]:
    if waiting.oldest_seconds > LATE_AFTER_SECONDS:
        yield Alert(
            title=f"Events have been waiting to be computed for {duration(waiting.oldest_seconds)}.",
            to_do="Start a worker, or more of them if they are busy: what waits is computed first.",
            links=[
                list_link("Backlog", "events_dirtycustomer", "?due=now"),
                list_link("Jobs", "features_run", "?state__exact=running"),
            ],
            section="Processes",
        )


def beat_alerts(now: datetime) -> Iterator[Alert]:
    """Yield an alert where nothing has been measured for some minutes, though it had been."""
    last = last_point(ACTIVE_CUSTOMERS)
    if last is not None and now - last > SILENT_AFTER:
        yield Alert(
            title=f"The last periodic task was done {ago(last, now)}: beat or every worker is down.",
            to_do="Start beat and a worker: without them nothing is renewed, scheduled or measured.",
            links=[list_link("Periodic tasks", "django_celery_beat_periodictask")],
            section="Processes",
        )


def run_alerts() -> Iterator[Alert]:
    for run in overview.last_runs():
        if run.state == Run.State.FAILED:
            yield Alert(
                title=f"The last “{run.get_kind_display()}” has failed.",
                to_do="Read the reason on its page, mend that, and start it again.",
                links=[AlertLink(name="The job", url=reverse("admin:features_run_change", args=[run.pk]))],
                section="Failures",
            )


def consistency_alerts() -> Iterator[Alert]:
    check = consistency.finished_checks().first()
    wrong = consistency.to_repair(check).count() if check is not None else 0
    if check is not None and wrong:
        yield Alert(
            title=f"{wrong:,} sampled customers have wrong values.",
            to_do="Look at what was found, then repair these customers on the page of the check.",
            links=[AlertLink(name="The check", url=reverse("admin:features_consistencycheck_change", args=[check.pk]))],
            section="Are the values right?",
            tone="danger",
        )


def traffic_alerts(now: datetime) -> Iterator[Alert]:
    """Yield alerts about the API's answers of the last minutes."""
    requests = total_by_label(REQUESTS, place=2, now=now)
    failed = sum(number for code, number in requests.items() if code.startswith("5"))
    if failed:
        yield Alert(
            title=f"{failed:,} of {sum(requests.values()):,} API requests of the last 10 minutes have failed.",
            to_do="Look for the reason in the log of the api pool, and at /readyz, which says what does not answer.",
            section="Failures",
            tone="danger",
        )
    reads = total_by_label(READS, place=0, now=now)
    fallbacks, number = reads.get("database", 0), sum(reads.values())
    if number >= READS_COMPARED and fallbacks > FALLBACKS_ALLOWED * number:
        yield Alert(
            title=f"{fallbacks:,} of {number:,} customers read in the last 10 minutes were not in Redis.",
            to_do="If Redis was emptied, run manage.py rebuild_cache; if it evicts values, give it more memory.",
            links=[list_link("Customers who are behind", "features_customer", "?activity=behind")],
            section="Failures",
        )


def unusual_alerts(now: datetime) -> Iterator[Alert]:
    """Yield alerts about unusual values and volumes of events: the first few, and how many more there are."""
    found = value_watch.get().alerts(now=now)
    links = [list_link("Value monitoring, with charts", "features_featureprofile")]
    for each in found[:UNUSUAL_SHOWN]:
        yield Alert(title=each.text, to_do=each.to_do, links=links, section="Have the values shifted?")
    more = len(found) - UNUSUAL_SHOWN
    if more > 0:
        yield Alert(title=f"{more:,} more features or event types are unusual.", to_do="Look at all.", links=links)


def total_by_label(name: str, *, place: int, now: datetime) -> dict[str, int]:
    """Return one label → what was counted in LOOKED_BACK."""
    points = points_of(name, resolution=Resolution.MINUTE, since=now - LOOKED_BACK, until=now)
    return {label: sum(over_time.values()) for label, over_time in by_label(points, place).items()}
