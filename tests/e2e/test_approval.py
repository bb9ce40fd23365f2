"""Two-person approval in the browser: nobody can approve weights that they wrote or changed."""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.valkey import Valkey
from tests.e2e.conftest import ARTEFACTS, PROJECT, Stack, stop, wait_until_ready
from tests.e2e.test_weights import MAKE_MARKETER, log_in, run, take_step
from tests.ports import free_port

CARLA, DAN = "carla", "dan"


@pytest.fixture(scope="module")
def strict_stack(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a second front and its pools on the instance's data, with two-person approval."""
    port = free_port()
    folder, first = tmp_path_factory.mktemp("strict"), Path(stack.environment["FEATUREHUB_LOCAL_DIR"])
    (folder / "static").symlink_to(first / "static")
    its_own = {"PORT": str(port), "FEATUREHUB_LOCAL_DIR": str(folder), "FEATUREHUB_TWO_PERSON_APPROVAL": "1"}
    shared = {
        "DATABASE_URL": Postgres(first / "postgres").url,
        "REDIS_URL": Valkey(first / "valkey").url,
        "SECRET_KEY": (first / "secret_key").read_text(),
        "FEATUREHUB_TOMBSTONE_KEY": (first / "tombstone_key").read_text(),
    }
    procfile = folder / "Procfile"
    web = ("front:", "reads:", "api:", "admin:")
    lines = (PROJECT / "Procfile").read_text().splitlines(keepends=True)
    procfile.write_text("".join(line for line in lines if line.startswith(web)))
    log = ARTEFACTS / "strict-stack.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "featurehub.devserver.run", "--skip-set-up", "--procfile", str(procfile)],
            cwd=PROJECT,
            env=stack.environment | shared | its_own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, port=port, log=log)
            yield replace(stack, url=f"http://127.0.0.1:{port}")
        finally:
            stop(process)


@pytest.fixture
def marketers(strict_stack: Stack, browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Return a tab for each of two colleagues who are logged in."""
    pages = []
    for name in (CARLA, DAN):
        password = secrets.token_urlsafe(16)
        run(strict_stack, MAKE_MARKETER.format(name=name, password=password))
        pages.append(browser.new_context(viewport={"width": 1280, "height": 900}).new_page())
        log_in(pages[-1], strict_stack, name=name, password=password)
    yield pages[0], pages[1]
    for page in pages:
        page.context.close()


def steps_offered(page: Page) -> set[str]:
    """Return the steps among the buttons of a set's page."""
    names = ("Propose", "Approve", "Activate now", "Schedule", "Send back")
    return {name for name in names if page.get_by_role("link", name=name, exact=True).count()}


def test_who_wrote_or_changed_weights_does_not_approve_them(
    strict_stack: Stack, marketers: tuple[Page, Page], artefacts: Path
) -> None:
    carla, dan = marketers

    # Carla writes a set. Nobody can activate it before somebody has approved it.
    carla.goto(f"{strict_stack.url}/admin/features/weightset/1/studio/")
    expect(carla.locator("#fh-preview [data-ready]")).to_be_visible(timeout=60_000)
    carla.locator("#id_weight_purchase").fill("0.5")
    carla.get_by_label("Name").fill("Checked by two")
    carla.get_by_label("Why?").fill("Buyers should come first")
    carla.get_by_role("button", name="Save as a new draft").click()
    expect(carla.get_by_text("is saved as a draft")).to_be_visible()
    page = re.sub(r"studio/.*", "change/", carla.url)
    carla.goto(page)
    assert steps_offered(carla) == {"Propose"}
    take_step(carla, button="Propose", confirm="Propose this set", why="Please look at it")
    expect(carla.get_by_text("is proposed")).to_be_visible()
    assert "Activate now" not in steps_offered(carla)

    # She approves it herself, and is refused.
    take_step(carla, button="Approve", confirm="Approve this set", why="I am sure")
    expect(carla.get_by_role("alert")).to_contain_text("You wrote or changed these weights")
    carla.screenshot(path=artefacts / "approval-refused.png", full_page=True)

    # Dan has no part in it: he approves, and only now it can be activated.
    dan.goto(page)
    take_step(dan, button="Approve", confirm="Approve this set", why="I checked the movers")
    expect(dan.get_by_text("is approved")).to_be_visible()
    assert {"Activate now", "Schedule"} <= steps_offered(dan)

    # He changes a number: the approval is gone, and now he is an author too.
    dan.goto(page.replace("/change/", "/studio/"))
    expect(dan.locator("#fh-preview [data-ready]")).to_be_visible(timeout=60_000)
    dan.locator("#id_weight_login").fill("0.2")
    dan.get_by_label("Why?").fill("Logins should count more")
    dan.get_by_role("button", name="Save this draft").click()
    expect(dan.get_by_text("is saved as a draft")).to_be_visible()
    dan.goto(page)
    assert steps_offered(dan) == {"Propose"}
    take_step(dan, button="Propose", confirm="Propose this set", why="With more logins")
    for author in (dan, carla):
        author.goto(page)
        take_step(author, button="Approve", confirm="Approve this set", why="I am sure")
        expect(author.get_by_role("alert")).to_contain_text("somebody else has to approve them")
        author.goto(page)
        assert steps_offered(author) == {"Approve", "Send back"}
