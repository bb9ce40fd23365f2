"""Axe finds nothing to object to on any page of docs/roles.md and of the API's documentation, light and dark.

Django answers in this process, for the objects of `tests.docs.admin_world`, before the browser starts: it refuses
queries while Playwright runs. The browser gets these answers and the static files through Playwright's routes. The
test takes about two minutes, because it looks at every page twice.
"""

import os
import re
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, Route

from events.event_types import EVENT_TYPES
from features.models import WeightSet
from tests.docs.admin_world import PASSWORD, World, make_world
from tests.docs.test_roles import address_of, every_row
from tests.e2e.conftest import running_browser
from tests.factories import forget_registry

HOST, DOCS = "http://testserver", "/api/docs/"
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# Parts that come later than the page: what Alpine shows, the charts of the studio, the operations of the API.
SETTLED = {
    "/admin/": "(window.Alpine || !document.querySelector('[x-data]'))"
    " && !document.querySelector('form ~ #fh-preview:empty')",
    DOCS: "document.querySelector('.opblock') !== null",
}
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


def answer(route: Route, *, answers: dict[str, Answer]) -> None:
    parts = urlsplit(route.request.url)
    address = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if parts.path.startswith("/static/"):
        found = finders.find(parts.path.removeprefix("/static/"))
        route.fulfill(path=found) if isinstance(found, str) else route.fulfill(status=404)
    elif address in answers:
        known = answers[address]
        route.fulfill(status=known.status, headers=known.headers, body=known.body)
    else:
        route.fulfill(status=404)


def violations(page: Page, address: str) -> list[str]:
    """Return what axe objects to, light and dark; in the dark only colours can differ."""
    page.goto(f"{HOST}{address}")
    settled = next((script for start, script in SETTLED.items() if address.startswith(start)), "true")
    page.wait_for_function(settled)
    page.evaluate(AXE)
    found = [f"{address} {each}" for each in page.evaluate(RUN, [])]
    if address == DOCS:  # it has one dress
        return found
    page.evaluate("document.documentElement.classList.add('dark')")
    page.wait_for_timeout(250)  # transitions of colours
    return found + [f"{address} dark {each}" for each in page.evaluate(RUN, ["color-contrast"])]


@pytest.mark.skipif("AXE" not in os.environ, reason="Not every page is clean yet: AXE=1 shows which.")
@pytest.mark.timeout(900)
def test_axe_objects_to_nothing_on_any_page_light_and_dark(db: None) -> None:
    world = make_world()
    User.objects.create_superuser("superuser", password=PASSWORD)
    forget_registry()
    client = Client()
    client.force_login(User.objects.get(username="superuser"))
    answers = answers_of(client, world=world)
    pages = [
        address
        for address, known in answers.items()
        if known.headers.get("Content-Type", "").startswith("text/html") and "/preview/" not in address
    ]
    with running_browser() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.route("**/*", lambda route: answer(route, answers=answers))
        page = context.new_page()
        found = [each for address in pages for each in violations(page, address)]
        context.close()
    assert len(pages) > 80
    assert found == [], "\n".join(found)
