"""Nothing is lost, nothing wrong, and no step back: faults on real processes, under constant writes and reads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS, Fault
from tests.faults.outcome import HEAD, Outcome, outcome_of
from tests.faults.site import MakeRun, Production, Site
from tests.at_once import PROJECT

TABLE = PROJECT / ".local/artefacts/faults.txt"
ALL = "FAULTS" in os.environ
CASES = [(shape, fault) for shape in ("apart", "make run") for fault in FAULTS if shape in fault.shapes]


@pytest.fixture(scope="session")
def outcomes() -> Iterator[list[Outcome]]:
    """Collect the outcomes, and print and keep the table of them at the end."""
    collected: list[Outcome] = []
    yield collected
    table = "\n".join([HEAD, *(one.line() for one in collected)])
    details = [
        f"\n{one.fault.name} ({one.shape}), {kind}: {len(sentences)}\n" + "\n".join(sentences[:20])
        for one in collected
        for kind, sentences in one.verdict.by_kind().items()
    ]
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("\n".join([table, *details]) + "\n")
    print(f"\n\n{table}\n")


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run FeatureHub in the shape asked for."""
    kind = {one.shape: one for one in (Production, MakeRun)}[request.param]
    with kind(folder_of(tmp_path_factory)).running() as site:
        yield site


def folder_of(factory: pytest.TempPathFactory) -> Path:
    """Make a folder that PostgreSQL's own user can enter."""
    return factory.mktemp("faults")


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("site", "fault"), CASES, indirect=["site"], ids=[f"{fault.name}, {shape}" for shape, fault in CASES]
)
def test_nothing_is_lost_wrong_or_seen_to_step_back(site: Site, fault: Fault, outcomes: list[Outcome]) -> None:
    if not (ALL or (fault.is_telling and site.shape == "apart")):
        pytest.skip("make test-faults")
    outcome = outcome_of(fault, site=site)
    outcomes.append(outcome)
    assert {kind: (len(found), found[:5]) for kind, found in outcome.verdict.by_kind().items()} == {}
    assert outcome.recovery is not None
