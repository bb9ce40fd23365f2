"""One fault under the workload, and what became of it."""

import time
from dataclasses import dataclass

from tests.faults.checker import Lasting, Verdict, erased_but_there, judge, lost_values, mixed_weight_sets, uncounted
from tests.faults.fault import Fault
from tests.faults.journal import Final, Journal, Shown, WeightSetNumbers
from tests.faults.site import Site
from tests.faults.workload import Workload

SECONDS_BEFORE = 3.0
SECONDS_AFTER = 3.0
SECONDS_TO_RECOVER = 45.0
HEAD = (
    f"{'fault':<40} | {'shape':<8} | requests | failed | longest wait | lost | wrong | steps back | unseen "
    "| bad answers | recovery"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The line of the table, and the verdict that its numbers come from."""

    fault: Fault
    shape: str
    journal: Journal
    verdict: Verdict
    recovery: float | None

    def line(self) -> str:
        requests, verdict = self.journal.requests, self.verdict
        failed = sum(not 200 <= request.status < 300 for request in requests)
        recovery = f"{self.recovery:.1f} s" if self.recovery is not None else f"> {SECONDS_TO_RECOVER:.0f} s"
        return (
            f"{self.fault.name:<40} | {self.shape:<8} | {len(requests):>8} | {failed:>6} "
            f"| {max(request.seconds for request in requests):>10.2f} s | {len(verdict.lost):>4} "
            f"| {len(verdict.wrong):>5} | {len(verdict.steps_back):>10} | {len(verdict.unseen):>6} "
            f"| {len(verdict.answers):>11} | {recovery:>8}"
        )


def outcome_of(fault: Fault, *, site: Site) -> Outcome:
    """Let the fault happen under writes and reads. Writes go on for a moment after it, reads until all is in order."""
    prefix = f"f{time.time_ns() // 1_000_000}"
    workload = Workload(port=site.port, key=site.key, prefix=prefix, console=site.console, pace=fault.pace)
    with workload.running():
        time.sleep(SECONDS_BEFORE)
        fault.act(site)
        end = time.time()
        recovery = seconds_to_recover(workload, site=site, end=end)
        time.sleep(max(0.0, end + SECONDS_AFTER - time.time()))
        workload.finish_writing()
        final = final_of(workload, site=site)
    verdict = judge(workload.journal, final=final, allowed=fault.allowed)
    return Outcome(fault=fault, shape=site.shape, journal=workload.journal, verdict=verdict, recovery=recovery)


def seconds_to_recover(workload: Workload, *, site: Site, end: float) -> float | None:
    """Return the seconds from the end of the fault until all that was acknowledged by then is shown; None: too long."""
    acknowledged = Journal(
        events=[event for event in list(workload.journal.events) if event.acknowledged < end],
        values=[value for value in list(workload.journal.values) if value.acknowledged < end],
    )
    while time.time() < end + SECONDS_TO_RECOVER:
        if site.is_in_order() and is_shown(acknowledged, shown=workload.read_everybody(), of=workload.journal):
            return time.time() - end
        time.sleep(0.2)
    return None


def is_shown(written: Journal, *, shown: list[Shown], of: Journal) -> bool:
    lasting = Lasting(of.erasures)
    return not uncounted(written.events, shown=shown, lasting=lasting) and not lost_values(
        written.values, shown=shown, lasting=lasting
    )


def final_of(workload: Workload, *, site: Site) -> Final:
    """Return what is there as soon as it is as it should be, or after SECONDS_TO_RECOVER."""
    deadline = time.time() + SECONDS_TO_RECOVER
    while True:
        final = read_final(workload, site=site)
        if is_settled(final, journal=workload.journal) or time.time() > deadline:
            return final
        time.sleep(0.2)


def read_final(workload: Workload, *, site: Site) -> Final:
    sets = site.console.ask("weight_sets")
    numbers = {
        int(pk): WeightSetNumbers(weights={name: (one[0], one[1]) for name, one in weights.items()}, monetary_norm=norm)
        for pk, (norm, weights) in sets["sets"].items()
    }
    stored = set(site.console.ask("stored", workload.prefix))
    return Final(shown=workload.read_everybody(), event_ids=stored, weight_sets=numbers, active=sets["active"])


def is_settled(final: Final, *, journal: Journal) -> bool:
    """Return whether nothing is on its way any more: counts, values, re-scores, and erasures left to a worker."""
    return (
        is_shown(journal, shown=final.shown, of=journal)
        and not mixed_weight_sets(final.shown, active=final.active)
        and not erased_but_there(final, journal=journal)
    )
