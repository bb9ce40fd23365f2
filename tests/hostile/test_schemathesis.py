"""Schemathesis on the running programs: every check and every phase, with the OpenAPI schema as it is served."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from featurehub.access.models import Scope, create_api_key
from tests.factories import make_customer
from tests.web_programs import web_programs

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "30")


@pytest.mark.timeout(900)
def test_the_schema_is_what_the_programs_do(committed: None, tmp_path: Path) -> None:
    _, key = create_api_key("schemathesis", scopes=Scope.values)
    make_customer("c1", page_view=2)
    with web_programs(tmp_path) as programs:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", "--checks", "all",
                "--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure",
                "--max-examples", EXAMPLES, "--generation-deterministic", "--no-color", "--no-shrink",
                "-H", f"Authorization: Api-Key {key}",
                f"http://127.0.0.1:{programs.port}/api/schema/?format=json",
            ],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
