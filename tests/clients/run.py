"""Run the tests of the clients, built and installed as packages, on a server of their own: `make test-clients`.

The server runs on embedded servers in a folder that is deleted afterwards. Tests find it by the environment variables
FEATUREHUB_URL, FEATUREHUB_API_KEY and FEATUREHUB_READ_API_KEY. Arguments are passed to pytest, and then the tests of
the Python client run alone.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from featurehub.devserver.local import PROJECT, local_environment
from tests.at_once import environment_of_tests
from tests.web_programs import path_of_programs, program, web_programs

CLIENTS = PROJECT / "clients"
PYTHON, TYPESCRIPT = CLIENTS / "python", CLIENTS / "typescript"
ENVIRONMENT = PROJECT / ".venv-clients"
PACKAGES = PROJECT / ".local/clients"
EXTRAS = "arrow,pandas,polars"
# The tests must not use the server of somebody who works on this machine, nor find the client's source.
UNSET = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "FEATUREHUB_URL", "FEATUREHUB_API_KEY", "PYTHONPATH")
# The codes of npm where it reaches no registry.
WITHOUT_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT")
NPM_INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 1 where a test fails."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in UNSET:
        os.environ.pop(name, None)
    with stage("Building the Python client and installing the wheel"):
        install_wheel(built_wheel(python_with_requirements()))
    with running_server() as address:
        tests = [str(PYTHON / "tests"), *([] if arguments else [str(CLIENTS / "tests")])]
        pytest = [str(ENVIRONMENT / "bin/pytest"), "-c", str(PYTHON / "pyproject.toml"), "--rootdir", str(CLIENTS)]
        has_passed = []
        # First: the others compare what they read with what its build reads.
        if not arguments and can_test_typescript():
            has_passed.append(run_tests("TypeScript", ["npm", "test"], folder=TYPESCRIPT, address=address))
        has_passed.append(run_tests("Python", [*pytest, *tests, *arguments], folder=CLIENTS, address=address))
    return 0 if all(has_passed) else 1


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f"--- {title}", flush=True)
    began = time.monotonic()
    yield
    print(f"--- {time.monotonic() - began:.0f} s", flush=True)


# --- The Python client's package --------------------------------------------------------------------------------------


def python_with_requirements() -> Path:
    """Return the Python of .venv-clients, made anew if its requirements have changed."""
    requirements = PYTHON / "requirements-test.txt"
    stamp = ENVIRONMENT / f"installed-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    python = ENVIRONMENT / "bin/python"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        install_for(python, "-r", str(requirements))
        stamp.touch()
    return python


def built_wheel(python: Path) -> Path:
    """Build the sdist, and the wheel from it. Return the wheel."""
    shutil.rmtree(PACKAGES, ignore_errors=True)
    build = [str(python), "-m", "build", "--no-isolation", "--outdir", str(PACKAGES), str(PYTHON)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    [wheel], [sdist] = PACKAGES.glob("*.whl"), PACKAGES.glob("*.tar.gz")
    print(f"Built {wheel.name} and {sdist.name}")
    return wheel


def install_wheel(wheel: Path) -> None:
    """Install the wheel with its extras, whose libraries must be those of the requirements."""
    command = pip(ENVIRONMENT / "bin/python")
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*command, "uninstall", "--quiet", "--yes", "featurehub-client"], stderr=subprocess.DEVNULL, **quiet)
    pins = str(PYTHON / "requirements-test.txt")
    wanted = f"featurehub-client[{EXTRAS}] @ {wheel.as_uri()}"
    subprocess.run([*command, "install", "--quiet", "--constraint", pins, wanted], **quiet)


def install_for(python: Path, *arguments: str) -> None:
    """Install by uv, which takes a fraction of pip's time, and by pip where uv, which has not its settings, can't."""
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", str(python)]
    if subprocess.run([*uv, *arguments], check=False, stderr=subprocess.DEVNULL).returncode:
        subprocess.run([*pip(python), "install", "--quiet", *arguments], check=True, stdout=subprocess.DEVNULL)


def pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check"]


# --- The server -------------------------------------------------------------------------------------------------------


@contextmanager
def running_server() -> Iterator[dict[str, str]]:
    """Run a server until the end of the block. Yield the variables that tell tests where it is."""
    with tempfile.TemporaryDirectory(prefix="featurehub-clients-") as name:
        os.environ |= {"FEATUREHUB_LOCAL_DIR": name, "DJANGO_SETTINGS_MODULE": "featurehub.settings"}
        folder = Path(name)
        with local_environment(), (folder / "worker.log").open("wb") as log:
            with stage("Starting a server"):
                manage("migrate", "--verbosity=0")
                keys = [api_key("tests", "read", "write", "ingest"), api_key("reader", "read")]
            environment = environment_of_tests() | {"PATH": path_of_programs()}
            worker = program("worker", environment=environment, output=log.fileno())
            with worker, web_programs(folder) as web:
                yield {
                    "FEATUREHUB_URL": f"http://127.0.0.1:{web.port}",
                    "FEATUREHUB_API_KEY": keys[0],
                    "FEATUREHUB_READ_API_KEY": keys[1],
                    "FEATUREHUB_TOOLS": str(Path(sys.executable).parent),
                }


def manage(*arguments: str) -> str:
    """Return the output of a `manage.py` command."""
    command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def api_key(name: str, *scopes: str) -> str:
    """Return a new API key with these scopes."""
    return manage("create_api_key", name, *(part for scope in scopes for part in ("--scope", scope))).strip()


# --- The tests --------------------------------------------------------------------------------------------------------


def run_tests(client: str, command: list[str], *, folder: Path, address: dict[str, str]) -> bool:
    """Run the tests of a client on the server, and return whether they pass."""
    tests_environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    with stage(f"The tests of the {client} client"):
        return subprocess.run(command, cwd=folder, env=tests_environment | address, check=False).returncode == 0


def can_test_typescript() -> bool:
    """Return whether the tests of the TypeScript client can run, after its packages are installed; else say why not."""
    if not (TYPESCRIPT / "package.json").exists():
        print("The TypeScript client is left out: there is no clients/typescript.")
        return False
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("The TypeScript client is left out: Node.js is not installed.")
        return False
    if not (TYPESCRIPT / "package-lock.json").exists():
        return True
    installed = subprocess.run(NPM_INSTALL, cwd=TYPESCRIPT, capture_output=True, text=True, check=False)
    if installed.returncode == 0:
        return True
    if any(code in installed.stderr for code in WITHOUT_REGISTRY):
        print("The TypeScript client is left out: npm reaches no registry.")
        return False
    sys.exit(f"npm could not install the packages of the TypeScript client:\n{installed.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
