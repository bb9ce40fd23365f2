"""docs/roles.md says who may do what in the admin; every page and action of it, as the resolver and the sites know
them, is requested by everybody and compared with the one table there. A change without a log entry fails."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.views.generic import RedirectView
from pytest_django import Settings

from features.admin.versions.steps import VERSION_STEPS
from features.admin.weights.steps import WEIGHT_SET_STEPS
from tests.docs.admin_world import PASSWORD, World, fields_of, logged_by, make_world, rows_written
from tests.factories import forget_registry
from tests.staff import shown_on

PAGE = Path(__file__).resolve().parents[2] / "docs/roles.md"
PEOPLE = ("not logged in", "no role", "viewer", "marketer", "operator", "superuser")
STEPS = {"weightset": WEIGHT_SET_STEPS, "featureversion": VERSION_STEPS}
PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
NAMES = {"feature_type": "type", "content_type_id": "type"}
LOG_IN, SEES, CHANGES, NOTHING = "log in", "sees", "changes", "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A page, or an action of a list, by the name that it has in the table."""

    name: str
    action: str = ""
    is_redirect: bool = False

    @property
    def group(self) -> str:
        """Return the model that it is of, such as features/run; "site" for the others."""
        found = re.match(r"([a-z_]+/[a-z]+)/", self.name)
        return found[1] if found and found[1].partition("/")[0] in APPS else "site"


APPS = {model._meta.app_label for model in admin.site._registry}


# --- Every page and action ----------------------------------------------------------------------------------------


def patterns_of(patterns: Sequence[URLPattern | URLResolver], *, prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns_of(pattern.url_patterns, prefix=path)
        elif path.startswith("admin/"):
            yield path.removeprefix("admin/"), pattern.callback


def readable(path: str) -> str:
    """Return the name of a pattern in the table: <path:object_id> and the like are <id>."""
    if path.startswith("^(?P<app_label>"):
        return "<app>/"
    if path == "(?P<url>.*)$":
        return "<anything else>"
    return PLACEHOLDER.sub(lambda found: f"<{NAMES.get(found[1], 'id')}>", path)


def pages() -> Iterator[Row]:
    for path, callback in patterns_of(get_resolver().url_patterns, prefix=""):
        is_redirect = getattr(callback, "view_class", None) is RedirectView
        if "<slug:name>" in path:
            model = path.split("/")[1]
            stem = path.replace("<slug:name>/", "")
            yield from (Row(name=f"{readable(stem)}{step}/") for step in STEPS[model])
        else:
            yield Row(name=readable(path) or "<first page>", is_redirect=is_redirect)


def actions() -> Iterator[Row]:
    """Yield the actions of the lists; those of Unfold's pages have addresses of their own."""
    request = RequestFactory().get("/admin/")
    request.user = User(username="root", is_superuser=True, is_active=True)
    for model, site_of_model in admin.site._registry.items():
        assert not site_of_model.list_editable
        assert not getattr(site_of_model, "actions_submit_line", ())
        stem = f"{model._meta.app_label}/{model._meta.model_name}/"
        yield from (Row(name=f"{stem} {name}", action=name) for name in site_of_model.get_actions(request))


def every_row() -> list[Row]:
    return sorted([*pages(), *actions()], key=lambda row: (row.group == "site", row.name))


def rows_by_group() -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in every_row():
        groups[row.group].append(row)
    return groups


# --- What the page of the docs says ------------------------------------------------------------------------------


def documented() -> dict[str, tuple[str, ...]]:
    """Return the rows of the one table of docs/roles.md: page or action → the other cells."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    names = [first.strip("`") for first, *_ in cells]
    assert len(names) == len(set(names)), "docs/roles.md has a page or an action twice"
    return {first.strip("`"): tuple(rest) for first, *rest in cells}


def as_line(name: str, cells: Sequence[str]) -> str:
    return f"| `{name}` | {' | '.join(cells)} |"


# --- What the server answers -------------------------------------------------------------------------------------


@pytest.fixture
def world(db: None, settings: Settings) -> World:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    made = make_world()
    for name in PEOPLE[1:]:
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=name == "superuser")
        user.groups.add(*Group.objects.filter(name=name))
    forget_registry()
    return made


def address_of(row: Row, *, world: World) -> str:
    """Return the address of the row's page, for an object whose state allows what is done there."""
    name = row.name.partition(" ")[0] if row.action else row.name
    name = {"<first page>": "", "<anything else>": "nowhere", "<app>/": "features/"}.get(name, name)
    step = re.search(r"features/(\w+)/<id>/step/([\w-]+)/", name)
    if step:
        return "/admin/" + name.replace("<id>", str(world.for_step[step[1], step[2]]))
    if name == "r/<type>/<id>/":
        return "/admin/r/1/1/"
    name = name.replace("backtest/<id>", f"backtest/{world.backtest}").replace("progress/<id>", f"progress/{world.run}")
    if row.group != "site":
        name = name.replace("<id>", str(object_of(row, world=world)))
    return "/admin/" + name.replace("<type>", "customer")


def object_of(row: Row, *, world: World) -> Any:
    found = [model for model in world.rows if f"{model._meta.app_label}/{model._meta.model_name}" == row.group]
    assert found, f"make_world makes no {row.group}"
    return world.pk(found[0])


def data_of(row: Row, *, world: World, address: str, root: Client) -> dict[str, Any]:
    if row.action:
        chosen = object_of(row, world=world)
        return {"action": row.action, "_selected_action": [chosen], "post": "yes", "confirmed": "yes"}
    shown = {"shown": shown_on(root, address)} if "/step/" in address else {}
    return fields_of(world, row.name) | shown


def client_of(name: str) -> Client:
    client = Client()
    if name != "not logged in":
        client.force_login(User.objects.get(username=name))
    return client


def is_let_in(answer: HttpResponse) -> bool:
    assert answer.status_code in (200, 302, 400, 403, 404, 405), answer.status_code
    is_sent_to_log_in = answer.status_code == 302 and answer.headers["Location"].startswith("/admin/login/")
    return answer.status_code in (200, 302, 400) and not is_sent_to_log_in


def outcome(row: Row, *, name: str, address: str, data: dict[str, Any]) -> tuple[str, str]:
    """Return the cell of the table for a GET and a POST by this person, and where a change is kept. Undo all of it."""
    with transaction.atomic():
        client = client_of(name)
        before = rows_written()
        looked = client.get(address) if not row.action else None
        assert rows_written() == before, f"GET {address} by {name} changes something"
        user = User.objects.filter(username=name).first()
        entries = dict(logged_by(user)) if user else {}
        answer = client.post(address, data)
        is_changed = rows_written() != before
        kept = [place for place, number in (logged_by(user) if user else ()) if number > entries[place]]
        for response in (looked, answer):
            if response is not None and response.streaming:  # else it holds a cursor
                response.getvalue()
        transaction.set_rollback(True)
    forget_registry()
    assert kept or not is_changed, f"POST {address} by {name} changes something that no log entry tells of"
    if kept:
        return CHANGES, ", ".join(kept)
    page = answer if looked is None or looked.status_code == 405 else looked
    if page.status_code == 302 and page.headers["Location"].startswith("/admin/login/"):
        return LOG_IN, ""
    return (SEES if is_let_in(page) and not row.action else NOTHING), ""


def observed(row: Row, *, world: World) -> tuple[str, ...]:
    """Return the cells of the table: each person's, then where a change is kept."""
    address = address_of(row, world=world)
    data = data_of(row, world=world, address=address, root=client_of("superuser"))
    found = [outcome(row, name=name, address=address, data=data) for name in PEOPLE]
    places = {kept for _, kept in found if kept}
    assert len(places) <= 1, f"{row.name} is kept in different places: {places}"
    return (*(cell for cell, _ in found), next(iter(places), NOTHING))


# --- The tests ---------------------------------------------------------------------------------------------------


def test_the_table_has_every_page_and_action_of_the_admin_and_no_others() -> None:
    assert sorted(documented()) == sorted(row.name for row in every_row() if not row.is_redirect)


@pytest.mark.parametrize("group", sorted(rows_by_group()))
def test_the_server_answers_everybody_as_the_table_says(world: World, group: str) -> None:
    table = documented()
    rows = [row for row in rows_by_group()[group] if not row.is_redirect]
    answered = {row.name: observed(row, world=world) for row in rows}
    wrong = [as_line(name, cells) for name, cells in answered.items() if table.get(name) != cells]
    assert wrong == [], "\n".join(["docs/roles.md should say:", *wrong])


def test_the_short_addresses_of_objects_only_redirect_to_their_pages(world: World) -> None:
    rows = [row for row in every_row() if row.is_redirect]
    assert rows
    for row in rows:
        answer = client_of("no role").get(address_of(row, world=world))
        assert (answer.status_code, answer.headers["Location"][-8:]) == (302, "/change/"), row.name
        assert client_of("not logged in").post(address_of(row, world=world)).headers["Location"][:13] == "/admin/login/"
