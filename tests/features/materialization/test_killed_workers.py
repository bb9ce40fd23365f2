"""Workers killed by SIGKILL in the middle of their work: every customer ends as without a kill."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from events.models import DirtyCustomer, Event
from events.validation import NewEvent
from featurehub.lib.clock import microseconds
from features.engines import in_process
from features.formulas.behavioral import behavioral_features
from features.materialization import customer_lists, recompute, refresh, runs
from features.models import BUCKET, ConsistencyCheck, Customer, CustomerFeature, Publication, Renewal, Run, RunChunk
from features.monitoring import consistency
from features.online import outbox
from tests.factories import ago, cached, first_weights, make_event, make_purchase, store_events
from tests.reference import parse_stamp, rfm_score

pytestmark = pytest.mark.usefixtures("committed")

CUSTOMERS = [f"c{number}" for number in range(120)]
# The worker prints `at work` before it begins, so that it is not killed while it imports.
WORKER = """
import django
django.setup()
from features.materialization import recompute, refresh, renewal
from features.models import Run
from features.online import outbox
{setup}
print("at work", flush=True)
while {step}:
    pass
print("done", flush=True)
"""
REFRESH_DIRTY = {"setup": "", "step": "refresh.refresh_dirty(limit=7)"}
REFRESH_ACTIVE = {"setup": "renewal.RENEWED_PER_CHUNK = 3", "step": "refresh.refresh_active(limit=7)"}
OUTBOX = {"setup": "", "step": "outbox.publish_overdue()"}
LAST_RUN = "run = Run.objects.latest('pk')"
RECOMPUTE = {"setup": LAST_RUN, "step": "recompute.load_chunk(run)"}
LISTS = {"setup": LAST_RUN, "step": "customer_lists.fill_next(run)"}
REPAIR = {"setup": LAST_RUN, "step": "consistency.repair_next(run)"}


# Forks a worker for each number that it is given; that worker dies before so many statements and commands to Redis.
FORKS = """
import os
import signal
import sys
import django
django.setup()
from django.db import connection
from featurehub.lib.redis_pool import BreakerConnection
from features.materialization import customer_lists, recompute, refresh, renewal
from features.models import Run
from features.monitoring import consistency
from features.online import outbox

def work():
    {setup}
    while {step}:
        pass

def count_down(*args):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def execute(call, *args):
    count_down()
    return call(*args)

send = BreakerConnection.send_packed_command
BreakerConnection.send_packed_command = lambda *args, **options: (count_down(), send(*args, **options))
for line in sys.stdin:
    child = os.fork()
    if not child:
        left = int(line)
        with connection.execute_wrapper(execute):
            work()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def python(program: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a Python program on the test database until the block ends."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "featurehub.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def worker(work: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker process on the test database; it is at work when the block begins."""
    with python(WORKER.format(**work)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process


def die_everywhere(work: dict[str, str], *, before: Callable[[], None], after: Callable[[], None]) -> int:
    """Let a worker die before its first statement or command, another before its second, until one comes to its end.

    Each time `before` prepares the work; another worker, for which all claims have expired, ends it, and `after` looks
    at the result. Return how many workers have died.
    """
    with python(FORKS.format(**work)) as process:
        for number in count(1):
            before()
            if fork(process, dies_before=number) == 0:
                return number - 1
            wait_for_rollbacks()
            expire_claims()
            assert fork(process, dies_before=0) == 0
            after()
    raise AssertionError


def fork(process: "subprocess.Popen[str]", *, dies_before: int) -> int:
    """Let FORKS fork a worker that dies before so many statements; 0: none. Return 0 where it has done its work."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{dies_before}\n")
    process.stdin.flush()
    ended = int(process.stdout.readline())
    assert ended in (0, -signal.SIGKILL)
    return ended


def wait_for_rollbacks() -> None:
    """Wait until PostgreSQL has noticed that a worker is dead: until then its rows are locked."""
    statement = """
        select count(*) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
            and state <> 'idle'
    """
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(statement)
            if not cursor.fetchone()[0]:
                return
            time.sleep(0.005)
    raise AssertionError("The session of a dead worker has not ended.")


def kill_some(work: dict[str, str], *, times: int) -> int:
    """Start workers one after the other and kill each after a moment. Return the number that were killed at work."""
    killed = 0
    for _ in range(times):
        with worker(work) as process:
            time.sleep(random.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            killed += process.stdout.readline() != "done\n"
    return killed


def finish(work: dict[str, str]) -> None:
    """Run a worker to its end."""
    with worker(work) as process:
        assert process.wait(timeout=60) == 0


def store_log() -> None:
    random.seed(1)
    for customer_id in CUSTOMERS:
        views = [make_event(customer_id=customer_id, session_id="s", timestamp=ago(hours=hour)) for hour in range(5)]
        purchases = [make_purchase(customer_id=customer_id, amount=random.randrange(1, 500), category="a")
                     for _ in range(random.randrange(4))]  # fmt: skip
        store_events(*views, *purchases)


def expire_claims() -> None:
    """Let the time pass for which a claim is left to its worker."""
    Renewal.objects.filter(due_at__gt=Now()).update(due_at=Now())
    RunChunk.objects.update(due_at=Now() - timedelta(seconds=1))
    Publication.objects.update(due_at=Now() - timedelta(seconds=1))


def assert_all_is_as_without_a_kill(customer_ids: Sequence[str] = CUSTOMERS) -> None:
    """Assert that history and Redis hold, for each customer, the in-process engine's values of the stored events.

    What a killed worker has committed and not published is left to it for a time, which is over.
    """
    assert not DirtyCustomer.objects.exists()
    expire_claims()
    while outbox.publish_overdue():
        pass
    assert not outbox.unpublished().exists()
    for customer_id in customer_ids:
        held = cached(customer_id)
        as_of, _ = parse_stamp(held["_behavioral"].encode())
        log = [
            NewEvent(
                customer_id=customer_id,
                event_id=event.event_id,
                event_type=event.event_type,  # type: ignore[arg-type]
                timestamp=event.timestamp,
                session_id=event.session_id,
                metadata={"amount": event.amount, "category": event.category},
            )
            for event in Event.objects.filter(customer_id=customer_id)
        ]
        activity = in_process.aggregate(log, customer_id=customer_id, as_of=as_of, window_days=settings.WINDOW_DAYS)
        values = behavioral_features(
            activity, weights=first_weights(), as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS
        )
        expected = {name: float(column[0]) for name, column in values.items()}
        assert {name: float(held[name]) for name in expected} == expected
        score = rfm_score(
            values["recency_score"], frequency=values["frequency_score"], monetary=values["monetary_score"]
        )
        assert float(held["rfm_score"]) == score[0]
        row = CustomerFeature.objects.filter(customer_id=customer_id, feature_type="behavioral").latest("id")
        assert {**row.features, "recency_score": 0} == {**expected, "recency_score": 0}
        assert row.metadata["activity"] == activity.to_records()[0]


def test_workers_killed_while_they_settle_marks() -> None:
    store_log()
    assert kill_some(REFRESH_DIRTY, times=2)
    finish(REFRESH_DIRTY)
    assert_all_is_as_without_a_kill()


def test_workers_killed_while_they_refresh_active_customers() -> None:
    store_log()
    finish(REFRESH_DIRTY)
    half = CUSTOMERS[::2]
    Customer.objects.filter(pk__in=half).update(recompute_at=ago(minutes=1))  # computed again from their events
    Renewal.objects.update(due_at=Now())
    assert kill_some(REFRESH_ACTIVE, times=2)
    expire_claims()
    finish(REFRESH_ACTIVE)
    finish(OUTBOX)
    assert_all_is_as_without_a_kill()
    assert Renewal.objects.filter(renewed_at__isnull=False).count() == 256


def begin_recompute() -> None:
    """Begin to recompute everybody, who have no history."""
    CustomerFeature.objects.all().delete()
    recompute.begin_recompute()


def begin_filling() -> None:
    """Begin to fill in the lists of two buckets of customers."""
    Customer.objects.update(listed=None)
    run = customer_lists.begin_filling(anew=True)
    assert run is not None
    buckets = Customer.objects.order_by(BUCKET).values_list(BUCKET, flat=True).distinct()[:2]
    run.chunks.exclude(number__in=list(buckets)).delete()
    Run.objects.filter(pk=run.pk).update(total=2)


def begin_repair() -> None:
    check = ConsistencyCheck.objects.create(
        run=Run.objects.create(kind=Run.Kind.CHECK, state=Run.State.DONE), rate=0.1, confidence=0.9, is_everybody=False
    )
    for customer_id in CUSTOMERS[:3]:
        check.inconsistent.create(customer_id=customer_id, findings=[])
    assert consistency.begin_repair(check) is not None


def assert_the_run_is_done() -> None:
    run = Run.objects.latest("pk")
    assert (run.state, run.done) == (Run.State.DONE, run.total)
    assert not run.chunks.exists()
    assert runs.stalled_runs() == []


def test_workers_killed_while_they_recompute_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks = {**RECOMPUTE, "setup": f"{LAST_RUN}; recompute.PAGES_PER_CHUNK = 1"}
    monkeypatch.setattr(recompute, "PAGES_PER_CHUNK", 1)
    store_log()
    finish(REFRESH_DIRTY)
    begin_recompute()
    assert RunChunk.objects.count() > 1
    assert kill_some(small_chunks, times=2)
    expire_claims()
    finish(small_chunks)
    assert_all_is_as_without_a_kill()
    assert_the_run_is_done()
    assert Run.objects.get().done == len(CUSTOMERS)
    assert refresh.refresh_dirty() == 0


@pytest.mark.parametrize(
    ("work", "begin"), [(RECOMPUTE, begin_recompute), (LISTS, begin_filling), (REPAIR, begin_repair)]
)
def test_a_run_whose_worker_dies_before_any_of_its_statements(work: dict[str, str], begin: Callable[[], None]) -> None:
    store_log()
    finish(REFRESH_DIRTY)
    assert die_everywhere(work, before=begin, after=assert_the_run_is_done) > 10
    assert_all_is_as_without_a_kill()


def test_a_worker_dies_before_any_statement_while_it_settles_marks() -> None:
    some = CUSTOMERS[:3]

    def mark() -> None:
        store_events(*(make_event(customer_id=customer_id) for customer_id in some))

    assert die_everywhere(REFRESH_DIRTY, before=mark, after=lambda: assert_all_is_as_without_a_kill(some)) > 10
