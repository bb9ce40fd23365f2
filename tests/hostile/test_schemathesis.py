"""Schemathesis on the running programs: every check and every phase, with the OpenAPI schema as it is served."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featurehub.access.models import Scope, create_api_key
from featurehub.http.schema import schema
from features.lifecycle.feature_sets import make_feature_set
from tests.factories import make_customer
from tests.hostile.hooks import CUSTOMERS, MADE_SET, NAMES
from tests.web_programs import WebPrograms, web_programs

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "30")


@pytest.mark.timeout(900)
def test_the_schema_is_what_the_programs_do_and_every_link_leads_on(committed: None, tmp_path: Path) -> None:
    _, key = create_api_key("schemathesis", scopes=Scope.values)
    make_customer("c1", page_view=2)
    make_customer(CUSTOMERS[0], page_view=2)
    make_feature_set(MADE_SET, names=NAMES, by=None, reason="A test")
    links = set(declared_links())
    with web_programs(tmp_path) as programs:
        followed = run_schemathesis("examples,coverage,fuzzing,stateful", programs=programs, key=key)
        if links - followed:  # which link is followed is chosen at random
            followed |= run_schemathesis("stateful", programs=programs, key=key)

    assert links - followed == set()
    assert len(links) == 17


def run_schemathesis(phases: str, *, programs: WebPrograms, key: str) -> set[str]:
    """Run these phases, which must find nothing. Return the links that were followed."""
    folder = programs.log.parent
    report = folder / "report.ndjson"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", "--checks", "all",
            "--phases", phases, "--continue-on-failure", "--max-examples", EXAMPLES, "--generation-deterministic",
            "--no-color", "--no-shrink", "--report", "ndjson", "--report-ndjson-path", report,
            "-H", f"Authorization: Api-Key {key}", f"http://127.0.0.1:{programs.port}/api/schema/?format=json",
        ],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return set(followed_links(report))


def declared_links() -> Iterator[str]:
    """Yield the links of the schema, as Schemathesis writes them."""
    operations = {
        operation["operationId"]: (f"{method.upper()} {path}", operation)
        for path, methods in schema()["paths"].items()
        for method, operation in methods.items()
    }
    for label, operation in operations.values():
        for status, response in operation["responses"].items():
            for name, link in response.get("links", {}).items():
                target, _ = operations[link["operationId"]]
                yield f"{label} -> [{status}] {name} -> {target}"


def followed_links(report: Path) -> Iterator[str]:
    """Yield the links by which a request got values of an earlier answer, and was accepted."""
    for line in report.read_text().splitlines():
        recorder: dict[str, Any] = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for case_id, case in recorder.get("cases", {}).items():
            response = recorder["interactions"].get(case_id, {}).get("response")
            if response and response["status_code"] < 300 and case.get("is_transition_applied"):
                yield case["transition"]["id"]
