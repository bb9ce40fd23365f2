"""Axe finds nothing to object to on any page of docs/roles.md and of the API's documentation, light and dark.

Django answers in this process, for the objects of `tests.docs.admin_world`, before the browser starts: it refuses
queries while Playwright runs. A server of this process gives these answers and the static files to the browser, which
keeps the latter. Each page is loaded once, looked at, made dark, and its colours looked at again. That takes one to two
minutes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from mimetypes import guess_type
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from events.event_types import EVENT_TYPES
from features.models import WeightSet
from tests.docs.admin_world import PASSWORD, World, make_world
from tests.docs.test_roles import address_of, every_row
from tests.e2e.conftest import running_browser
from tests.factories import forget_registry

DOCS = "/api/docs/"
# Behind the address of a page: its part that htmx asks for.
PART = " part"
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# Parts that come later than the page: what Alpine shows, the charts of the studio, the operations of the API.
SETTLED = {
    "/admin/": "(window.Alpine || !document.querySelector('[x-data]'))"
    " && !document.querySelector('form ~ #fh-preview:empty')",
    DOCS: "document.querySelector('.opblock') !== null",
}
DARK = """() => {
    document.documentElement.classList.add("dark");
    // Colours change at once, not over a moment.
    document.getAnimations().filter((each) => each instanceof CSSTransition).forEach((each) => each.finish());
}"""
RUN = """async (rules) => {
    const options = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
    const { violations } = await axe.run(document, { resultTypes: ["violations"], ...options });
    return violations.map((each) => `${each.id} (${each.nodes.length}): ` +
        each.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 140)} ${node.any[0]?.message || ""}`).join(" | "));
}"""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def kept(response: HttpResponse) -> Answer:
    headers = {name: value for name, value in response.items() if name != "Content-Length"}
    return Answer(response.status_code, headers, b"".join(response))


def answers_of(client: Client, *, world: World) -> dict[str, Answer]:
    """Return the answers by address: every page as a superuser sees it, and what the pages ask for."""
    rows = [row for row in every_row() if not row.action and not row.is_redirect and row.name != "logout/"]
    pages = {address: client.get(address) for address in sorted({address_of(row, world=world) for row in rows})}
    answers = {address: kept(page) for address, page in pages.items() if page.status_code == 200}
    polled = [address for address, known in answers.items() if b'hx-trigger="every' in known.body]
    answers |= {f"{address}{PART}": kept(client.get(address, headers={"HX-Request": "true"})) for address in polled}
    studio = next(address for address in answers if address.endswith("/studio/"))
    answers[f"{studio}preview/"] = kept(client.post(f"{studio}preview/", numbers()))
    docs = client.get(DOCS)
    script = re.search(r'src="(/api/docs/[^"]+)"', docs.content.decode())
    assert script is not None
    script_address = script[1].replace("&amp;", "&")
    schema = reverse("schema")
    return answers | {address: kept(client.get(address)) for address in (DOCS, script_address, schema)}


def numbers() -> dict[str, float]:
    """Return the numbers that the studio sends: others than the active ones, so that somebody moves."""
    rows = WeightSet.objects.filter(state="active").first()
    assert rows is not None
    return {
        **{f"weight_{name}": 0.5 for name in EVENT_TYPES},
        **{f"norm_{name}": 10.0 for name in EVENT_TYPES},
        "monetary_norm": rows.monetary_norm,
        "threshold": 0.5,
    }


class Answers(BaseHTTPRequestHandler):
    """Answers from memory and from the static files."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, answers: dict[str, Answer]) -> None:
        self.answers = answers
        super().__init__(*args)

    def do_GET(self) -> None:
        asked = f"{self.path}{PART}" if "HX-Request" in self.headers else self.path
        found = self.static_file() if self.path.startswith("/static/") else self.answers.get(asked)
        answer = found or Answer(404, {}, b"")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def static_file(self) -> Answer | None:
        found = finders.find(self.path.partition("?")[0].removeprefix("/static/"))
        if not isinstance(found, str):
            return None
        headers = {"Content-Type": guess_type(found)[0] or "", "Cache-Control": "max-age=3600"}
        return Answer(200, headers, Path(found).read_bytes())

    def log_message(self, *args: Any) -> None:
        """Say nothing about each request."""


@contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[str]:
    """Serve the answers until the end of the block; yield the address of the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, answers=answers))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def violations(page: Page, host: str, address: str) -> list[str]:
    """Return what axe objects to, light and dark; in the dark only colours can differ."""
    page.goto(f"{host}{address}")
    settled = next((script for start, script in SETTLED.items() if address.startswith(start)), "true")
    page.wait_for_function(settled)
    page.evaluate(AXE)
    found = [f"{address} {each}" for each in page.evaluate(RUN, [])]
    if address == DOCS:  # it has one dress
        return found
    page.evaluate(DARK)
    return found + [f"{address} dark {each}" for each in page.evaluate(RUN, ["color-contrast"])]


@pytest.mark.timeout(900)
def test_axe_objects_to_nothing_on_any_page_light_and_dark(db: None) -> None:
    world = make_world()
    User.objects.create_superuser("superuser", password=PASSWORD)
    forget_registry()
    client = Client()
    client.force_login(User.objects.get(username="superuser"))
    answers = answers_of(client, world=world)
    pages = [address for address, known in answers.items() if b"<html" in known.body and not address.endswith(PART)]
    with serving(answers) as host, running_browser() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        found = [each for address in pages for each in violations(page, host, address)]
        context.close()
    assert len(pages) > 80
    assert found == [], "\n".join(found)
