"""Generators of clients and a linter read the schema without a warning, and what they make works."""

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from featurehub.access.models import Scope, create_api_key
from featurehub.http.schema import schema_as
from tests.clients.run import NPM_INSTALL, WITHOUT_REGISTRY
from tests.factories import make_customer
from tests.web_programs import path_of_programs, web_programs

PROJECT = Path(__file__).resolve().parents[2]
NODE = Path(__file__).with_name("node")
PROGRAMS = "node_modules/.bin"
PACKAGE = "generated_featurehub_client"


@pytest.fixture
def schema_file(tmp_path: Path) -> Path:
    """Return a file with the schema as it is served."""
    file = tmp_path / "openapi.json"
    file.write_bytes(schema_as("application/vnd.oai.openapi+json"))
    return file


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Return a folder with the packages of tests/clients/node; they are installed once for each lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed: the types for TypeScript are not generated, and the schema not linted.")
    lock = (NODE / "package-lock.json").read_bytes()
    folder = PROJECT / ".local" / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    shutil.copytree(NODE, folder, dirs_exist_ok=True)
    if not (folder / "installed").exists():
        try:
            run(NPM_INSTALL, folder=folder)
        except AssertionError as failed:
            if any(code in str(failed) for code in WITHOUT_REGISTRY):
                pytest.skip(
                    "npm reaches no registry: the types for TypeScript are not generated, the schema not linted."
                )
            raise
        (folder / "installed").touch()
    return folder


def run(command: list[str], *, folder: Path) -> str:
    """Run a program that must succeed, and return what it writes."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path_of_programs()}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_generated_python_client_reads_and_writes_values(
    committed: None, schema_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--path", str(schema_file),
            "--output-path", str(tmp_path / PACKAGE), "--meta", "none", "--fail-on-warning",
        ],
        folder=tmp_path,
    )  # fmt: skip
    assert "arning" not in written, written

    monkeypatch.syspath_prepend(tmp_path)
    generated = importlib.import_module(PACKAGE)
    reads = importlib.import_module(f"{PACKAGE}.api.values.get_customer_features")
    writes = importlib.import_module(f"{PACKAGE}.api.values.set_customer_features")
    history = importlib.import_module(f"{PACKAGE}.api.history_and_training.get_feature_history")
    models = importlib.import_module(f"{PACKAGE}.models")

    _, key = create_api_key("generated", scopes=Scope.values)
    make_customer("c1", page_view=50)
    with web_programs(tmp_path) as programs:
        client = generated.AuthenticatedClient(
            base_url=f"http://127.0.0.1:{programs.port}", token=key, httpx_args={"trust_env": False}
        )
        read = reads.sync(client=client, customer_id="c1", names="engagement_score,nothing")
        body = models.FeaturesPatch.from_dict(
            {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 99.5}}
        )
        wrote = writes.sync(client=client, customer_id="c1", body=body)
        page = history.sync(client=client, customer_id="c1", name="cart_value")
        refused = history.sync(client=client, customer_id="c1", name="nothing")
        client.get_httpx_client().close()

    assert read.features.to_dict() == {"engagement_score": 0.15, "nothing": 0.0}
    assert read.missing.to_dict() == {"nothing": "unknown"}
    assert wrote.features.to_dict() == {"cart_value": 99.5}
    assert [row.features.to_dict() for row in page.results] == [{"cart_value": 99.5}]
    assert (page.next_, page.previous) == (None, None)
    assert refused.errors[0].detail


def test_types_for_typescript_are_generated_and_used(node_folder: Path, schema_file: Path) -> None:
    said = run([f"{PROGRAMS}/openapi-typescript", str(schema_file), "-o", "schema.ts"], folder=node_folder)
    assert "warn" not in said.lower(), said
    run([f"{PROGRAMS}/tsc", "--strict", "--noEmit", "--skipLibCheck", "reads.ts", "schema.ts"], folder=node_folder)


def test_the_linter_finds_nothing(node_folder: Path, schema_file: Path) -> None:
    run([f"{PROGRAMS}/spectral", "lint", str(schema_file), "--fail-severity", "hint"], folder=node_folder)
