"""Fixtures of end-to-end tests: a complete running FeatureHub, started as a new user starts it, and a real browser."""

import http.client
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
# Screenshots and logs of the last run, to look into failures.
ARTEFACTS = PROJECT / ".local/artefacts"
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Variables that are unset where `make run` is used first; the stack must not use the test run's own servers.
UNSET = (
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "SECRET_KEY",
    "FEATUREHUB_TOMBSTONE_KEY",
    "FEATUREHUB_PUBLIC_METRICS",
    "ALLOWED_HOSTS",
    "FEATUREHUB_HTTPS",
    "DJANGO_SETTINGS_MODULE",
    "MAKELEVEL",
)
SECONDS_TO_START = 240.0
SECONDS_TO_STOP = 60.0
MILLISECONDS_TO_SHOW = 15_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running instance: its URL, a key with every scope, the admin's login, and its output so far."""

    url: str
    key: str
    username: str
    password: str
    log: Path
    environment: dict[str, str]

    def api(self) -> httpx.Client:
        """Return a client of the API with the key; it uses no proxy."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Api-Key {self.key}"}, trust_env=False)

    def manage(self, *arguments: str) -> str:
        """Return the output of a `manage.py` command, run on the instance's own servers."""
        return run_manage(arguments, environment=self.environment)


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an instance until the end of the end-to-end tests, which all use the same one.

    Two processes of `-n` have such tests, hence an instance and a log each.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    with running_stack(tmp_path_factory.mktemp("stack"), log_name=f"stack-{worker}.log") as stack:
        yield stack


@contextmanager
def running_stack(folder: Path, *, log_name: str) -> Iterator[Stack]:
    """Run `python -m featurehub.devserver.run` on a free port with an empty folder, until the end of the block."""
    port = free_port()
    password = secrets.token_urlsafe(16)
    environment = environment_of(folder, port=port, password=password)
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    log = ARTEFACTS / log_name
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "featurehub.devserver.run"],
            cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until_ready(process, port=port, log=log)
            scopes = [argument for scope in ("read", "write", "ingest") for argument in ("--scope", scope)]
            key = run_manage(["create_api_key", "tests", *scopes], environment=environment).strip()
            yield Stack(
                url=f"http://127.0.0.1:{port}",
                key=key,
                username="admin",
                password=password,
                log=log,
                environment=environment,
            )
        finally:
            stop(process)


def environment_of(folder: Path, *, port: int, password: str) -> dict[str, str]:
    """Return the environment of a new user, with the variables that separate this instance from others."""
    stranger = {name: value for name, value in os.environ.items() if name not in UNSET}
    own = {"PORT": str(port), "FEATUREHUB_LOCAL_DIR": str(folder), "FEATUREHUB_ADMIN_PASSWORD": password}
    return stranger | own


def wait_until_ready(process: "subprocess.Popen[bytes]", *, port: int, log: Path) -> None:
    """Return at the first 200 of /readyz. Raises with the end of the log where the process ends or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            if status_of(port, "/readyz") == 200:
                return
        time.sleep(0.2)
    ended = "takes too long" if process.poll() is None else f"ended with status {process.returncode}"
    raise AssertionError(f"The start of FeatureHub {ended}:\n{log.read_text()[-4000:]}")


def status_of(port: int, path: str) -> int:
    """Return the status of a GET; no proxy is used."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def run_manage(arguments: list[str] | tuple[str, ...], *, environment: dict[str, str]) -> str:
    """Return the output of the command. Raises CalledProcessError where it fails."""
    command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
    return subprocess.run(command, env=environment, check=True, text=True, stdout=subprocess.PIPE, timeout=240).stdout


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM, on which every child ends too, and SIGKILL only where that does not help."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(SECONDS_TO_STOP)
    finally:
        process.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium without a window, once per module.

    Not once per session, because Django refuses queries in this thread while Playwright runs.
    """
    with running_browser() as browser:
        yield browser


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run Debian's Chromium until the end of the block."""
    if not CHROMIUM.exists():
        pytest.skip(f"There is no {CHROMIUM}: apt-get install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a new tab without cookies, as wide as a laptop. An error in the page's scripts fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS_TO_SHOW)
    expect.set_options(timeout=MILLISECONDS_TO_SHOW)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def admin_page(page: Page, stack: Stack) -> Page:
    """Return a tab that is logged in to the admin, at its index."""
    log_in(page, stack)
    return page


def log_in(page: Page, stack: Stack) -> None:
    """Fill in the login form; the tab is at the admin's index then."""
    page.goto(f"{stack.url}/admin/")
    page.get_by_label("Username").fill(stack.username)
    page.get_by_label("Password").fill(stack.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stack.url}/admin/")


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Return the folder for screenshots."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS
