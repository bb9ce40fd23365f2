"""Nothing is lost, nothing wrong, and no step back: faults on real processes, under constant writes and reads.

Every run of the tests tries the most telling faults; `make test-faults` tries all, and prints and keeps a table.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.fault import APART, BOTH, Fault
from tests.faults.faults import FAULTS
from tests.faults.outcome import HEAD, Outcome, outcome_of
from tests.faults.site import ARTEFACTS, FaultUnavailable, MakeRun, Production, Site

pytestmark = pytest.mark.alone

TABLE = ARTEFACTS / "faults.txt"
SENTENCES = 20
ALL = "FAULTS" in os.environ
CASES = [
    pytest.param(shape, fault, id=f"{fault.name}, {shape}")
    for shape in BOTH
    for fault in FAULTS
    if shape in fault.shapes and (ALL or (fault.is_telling and shape == APART))
]


class Table:
    """The outcomes so far, kept in a file with the first sentences of what was not as promised."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        details = [
            "\n".join([f"\n{one.fault.name} ({one.shape}), {kind}: {len(sentences)}", *sentences[:SENTENCES]])
            for one in self._outcomes
            for kind, sentences in one.verdict.by_kind().items()
        ]
        TABLE.write_text("\n".join([str(self), *details]) + "\n")

    def __str__(self) -> str:
        return "\n".join([HEAD, *(one.line() for one in self._outcomes)])


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """Return the table, which is printed at the end."""
    table = Table()
    yield table
    print(f"\n\n{table}\n")


@pytest.fixture(scope="module")
def site_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Return a function that gives the running FeatureHub of a shape; one runs at a time."""
    kinds = {kind.shape: kind for kind in (Production, MakeRun)}
    running: dict[str, Site] = {}
    with ExitStack() as stack:

        def run(shape: str) -> Site:
            if shape not in running:
                stack.close()
                running.clear()
                running[shape] = stack.enter_context(kinds[shape](tmp_path_factory.mktemp("faults")).running())
            return running[shape]

        yield run


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("shape", "fault"), CASES)
def test_nothing_is_lost_wrong_or_seen_to_step_back(
    shape: str, fault: Fault, site_of: Callable[[str], Site], table: Table
) -> None:
    try:
        outcome = outcome_of(fault, site=site_of(shape))
    except FaultUnavailable as unavailable:
        pytest.skip(str(unavailable))
    table.add(outcome)
    assert {kind: (len(found), found[:5]) for kind, found in outcome.verdict.by_kind().items()} == {}
    assert outcome.recovery is not None
