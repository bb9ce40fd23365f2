"""Both clients, curl and a client that is generated from the schema read the same values.

Each reader is a process that prints them as JSON. `make test-clients` starts the server, and sets FEATUREHUB_TOOLS to
the folder of openapi-python-client.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from featurehub_client import FeatureHub, NewEvent, PatchedRow

CLIENTS = Path(__file__).resolve().parents[1]
TYPESCRIPT = CLIENTS / "typescript"
NAMES = ["cart_value", "engagement_score", "items_in_cart", "nothing"]
# Doubles that a reader loses if it takes a detour by a shorter text or by whole numbers.
HARD = [0.1 + 0.2, 1 / 3, 5e-324, 1e-7, 1e21, 1.7976931348623157e308, 2.0**53, math.pi]


@pytest.fixture(scope="module")
def customers() -> list[str]:
    """Return customers with values, and one without."""
    if "FEATUREHUB_URL" not in os.environ:
        pytest.skip("FEATUREHUB_URL is not set: `make test-clients` starts a server and sets it.")
    ids = [f"same-{uuid4().hex}" for _ in range(len(HARD) + 1)]
    with FeatureHub() as hub:
        rows = [
            PatchedRow(customer_id=customer_id, features={"cart_value": value, "items_in_cart": number})
            for number, (customer_id, value) in enumerate(zip(ids, HARD, strict=False))
        ]
        hub.set_features_of_customers(rows, feature_type="contextual")
        hub.store_events([NewEvent(customer_id=ids[0], event_type="login") for _ in range(7)])
        # Its score must not change between two readers.
        while hub.get_customer_features(ids[0], ["engagement_score"]).missing:
            time.sleep(0.05)
    return ids


def run(command: list[str], **environment: str) -> str:
    """Return what a program writes. It must succeed."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_by(program: list[str], customers: list[str], **environment: str) -> Any:
    return json.loads(run([*program, "--names", ",".join(NAMES), *customers], **environment))


def read_by_curl(customers: list[str]) -> Any:
    body = json.dumps({"customer_ids": customers, "names": NAMES})
    address = f"{os.environ['FEATUREHUB_URL']}/api/v1/features/batch/"
    key = f"Authorization: Api-Key {os.environ['FEATUREHUB_API_KEY']}"
    answer = json.loads(run(["curl", "--silent", "--fail", "--header", key, "--data", body, address]))
    return {each["customer_id"]: each["features"] for each in answer["results"]}


def read_by_generated(customers: list[str], folder: Path) -> Any:
    generator = Path(os.environ["FEATUREHUB_TOOLS"]) / "openapi-python-client"
    said = run(
        [
            str(generator), "generate", "--url", f"{os.environ['FEATUREHUB_URL']}/api/schema/?format=json",
            "--output-path", str(folder / "generated_featurehub_client"), "--meta", "none", "--fail-on-warning",
        ]
    )  # fmt: skip
    assert "arning" not in said, said
    program = [str(generator.with_name("python")), str(CLIENTS / "tests/read_generated.py")]
    return read_by(program, customers, PYTHONPATH=str(folder))


def test_every_reader_reads_the_same_values(
    customers: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = {"Python": read_by([sys.executable, str(CLIENTS / "python/examples/read.py")], customers)}
    left_out = []
    if "FEATUREHUB_TOOLS" in os.environ:
        read["generated"] = read_by_generated(customers, tmp_path)
    else:
        left_out.append("the generated client (FEATUREHUB_TOOLS is not set)")
    if shutil.which("curl"):
        read["curl"] = read_by_curl(customers)
    else:
        left_out.append("curl (not installed)")
    if shutil.which("node") and (TYPESCRIPT / "dist/index.js").exists():
        read["TypeScript"] = read_by(["node", str(TYPESCRIPT / "examples/read.mjs")], customers)
    else:
        left_out.append("the TypeScript client (no node, or it is not built)")
    with capsys.disabled():
        print(f"\nRead by {', '.join(read)}." + "".join(f" Left out: {reader}." for reader in left_out))

    values = read["Python"]
    assert [values[each]["cart_value"] for each in customers] == [*HARD, 0.0]
    assert [values[each]["items_in_cart"] for each in customers] == [*range(len(HARD)), 0.0]
    assert {reader: answer for reader, answer in read.items() if answer != values} == {}
    assert len(read) >= 2
