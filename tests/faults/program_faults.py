"""Faults of FeatureHub's own programs, and what users do at the same time."""

import os
import signal
import time
from contextlib import suppress

from tests.faults.fault import BOTH, MAKE_RUN, Fault, Pace
from tests.faults.site import PROGRAMS, MakeRun, Production, Site
from tests.signals import children_of

SECONDS_DEAD = 3.0
SECONDS_WITHOUT_BEAT = 20.0
SECONDS_OF_A_FAULT = 8.0
SECONDS_TO_END = 30.0
PERIODIC = (
    "features.refresh_dirty", "features.refresh_active", "features.resume_runs", "features.activate_due_weights",
    "features.publish_overdue", "features.observe_shadows",
)  # fmt: skip
NO_ANSWER, NO_POOL = 0, 502


def calm(site: Site) -> None:
    time.sleep(SECONDS_OF_A_FAULT)


def kill_a_task_process(site: Site) -> None:
    """Kill a process that runs tasks, three times; the worker starts another one."""
    for _ in range(3):
        while not (processes := children_of(site.pid_of("worker"))):
            time.sleep(0.1)
        os.kill(processes[0], signal.SIGKILL)
        time.sleep(1.0)


def kill_worker(site: Site) -> None:
    site.kill_program("worker")
    time.sleep(SECONDS_DEAD)
    site.start_program("worker")


def kill_beat(site: Site) -> None:
    site.kill_program("beat")
    time.sleep(SECONDS_WITHOUT_BEAT)
    site.start_program("beat")


def kill_a_web_process(site: Site) -> None:
    """Kill one of the processes that take in events; granian starts another one."""
    os.kill(children_of(site.pid_of("api"))[0], signal.SIGKILL)
    time.sleep(SECONDS_OF_A_FAULT)


def kill_supervisor(site: Site) -> None:
    assert isinstance(site, MakeRun)
    site.supervisor.kill()
    site.supervisor.wait()
    wait_until_gone(site)
    site.start_supervisor()


def wait_until_gone(site: Site) -> None:
    """Return when no program runs any more: they end with their supervisor. Fail where one does not."""
    deadline = time.monotonic() + SECONDS_TO_END
    while left := site.running_programs():
        assert time.monotonic() < deadline, f"Without their supervisor go on: {left}"
        time.sleep(0.1)


def kill_everything(site: Site) -> None:
    """Kill all programs and servers at once, as when the machine loses its power, but for what disks hold."""
    if isinstance(site, MakeRun):
        site.supervisor.kill()
        site.supervisor.wait()
    for name in PROGRAMS:
        with suppress(StopIteration, ProcessLookupError):
            site.kill_program(name)
    servers = {id(server): server for server in (site.postgres, site.valkey, site.broker)}.values()
    for server in servers:
        site.kill_server(server)
    wait_until_gone(site)
    time.sleep(SECONDS_DEAD)
    if isinstance(site, MakeRun):
        site.start_supervisor()
        return
    for server in servers:
        site.start_server(server)
    for name in PROGRAMS:
        site.start_program(name)


def send_tasks_at_once(site: Site) -> None:
    """Send every periodic task ten times at once, then in the reverse order."""
    for _ in range(4):
        site.console.ask("send", PERIODIC, 10)
        site.console.ask("send", PERIODIC[::-1], 10)
        time.sleep(1.0)


def run_two_beats(site: Site) -> None:
    assert isinstance(site, Production)
    with site.another("beat"):
        time.sleep(SECONDS_OF_A_FAULT)


def step_the_clock(site: Site) -> None:
    """Let the clock of the worker's machine jump ahead and back by minutes, by libfaketime."""
    assert isinstance(site, Production)
    with site.fake_clock("worker") as set_offset:
        for offset in (120.0, -120.0, 3_600.0, 0.0, -3_600.0):
            set_offset(offset)
            time.sleep(3.0)


FAULTS = (
    Fault(name="no fault", act=calm, shapes=BOTH),
    Fault(name="a worker's process killed", act=kill_a_task_process, shapes=BOTH, pace=Pace(activations=3.0)),
    Fault(name="the worker killed", act=kill_worker, shapes=BOTH, pace=Pace(activations=3.0), is_telling=True),
    Fault(name="beat killed, 20 s without", act=kill_beat, shapes=BOTH),
    Fault(
        name="a web process killed", act=kill_a_web_process, shapes=BOTH, allowed=frozenset({NO_POOL}), is_telling=True
    ),
    Fault(
        name="the supervisor killed", act=kill_supervisor, shapes=(MAKE_RUN,), allowed=frozenset({NO_ANSWER, NO_POOL})
    ),
    Fault(name="everything killed", act=kill_everything, shapes=BOTH, allowed=frozenset({NO_ANSWER, NO_POOL})),
    Fault(name="tasks ten times at once, and in reverse", act=send_tasks_at_once, pace=Pace(activations=2.0)),
    Fault(name="two beats", act=run_two_beats, pace=Pace(activations=3.0)),
    Fault(name="the worker's clock steps", act=step_the_clock, pace=Pace(activations=3.0)),
    Fault(name="erasures while events come in", act=calm, pace=Pace(erasures=0.05)),
    Fault(name="activations while events come in", act=calm, pace=Pace(activations=1.0)),
    Fault(name="events dated ahead", act=calm, pace=Pace(ahead=0.8)),
)
