"""Permissions of each role, tested through the admin's own pages."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from featurehub.access.roles import MANAGED
from features.models import FeatureDefinition, Run, WeightSet
from tests.factories import make_customer
from tests.staff import log_in

pytestmark = pytest.mark.django_db

LISTS = (
    "events/event", "events/dirtycustomer", "events/erasedcustomer", "features/customer", "features/customerfeature",
    "features/featuredefinition", "features/featureversion", "features/weightset", "features/run", "access/apikey",
    "auth/user", "auth/group", "django_celery_beat/periodictask", "django_celery_beat/intervalschedule",
    "django_celery_beat/crontabschedule",
)  # fmt: skip
ADDED_BY = {
    "features/weightset": ["marketer"],
    "features/featuredefinition": ["operator"],
    "access/apikey": ["operator"],
    "django_celery_beat/periodictask": ["operator"],
    "django_celery_beat/intervalschedule": ["operator"],
    "auth/user": [],
    "auth/group": [],
    "events/event": [],
    "events/erasedcustomer": [],
    "features/customer": [],
    "features/customerfeature": [],
    "features/run": [],
}


@pytest.fixture(params=sorted(MANAGED))
def role(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_role_sees_everything(role: str) -> None:
    make_customer("c1", page_view=1)
    client = log_in(role)
    for name in LISTS:
        assert client.get(f"/admin/{name}/").status_code == 200, name
    assert client.get("/admin/features/customer/c1/change/").status_code == 200
    assert "Backlog" in client.get("/admin/").content.decode()


def test_every_role_adds_what_it_manages_and_nothing_else(role: str) -> None:
    client = log_in(role)
    for name, roles in ADDED_BY.items():
        assert client.get(f"/admin/{name}/add/").status_code == (200 if role in roles else 403), name


def test_the_side_lists_what_a_role_works_with(role: str) -> None:
    page = log_in(role).get("/admin/").content.decode()
    for name in ("features/customer", "features/weightset", "events/event", "features/featureversion"):
        assert f'href="/admin/{name}/"' in page, name


def test_only_the_operator_changes_definitions() -> None:
    definition = FeatureDefinition.objects.get(name="tenure_days")
    data = {"description": "Days since joining", "owner": "Team", "unit": "days", "minimum": "0", "tags": "age, time"}
    for role, status in (("viewer", 403), ("marketer", 403), ("operator", 302)):
        response = log_in(role).post(f"/admin/features/featuredefinition/{definition.pk}/change/", data)
        assert response.status_code == status, role
    definition.refresh_from_db()
    assert (definition.owner, definition.tags) == ("Team", ["age", "time"])


def test_only_the_marketer_changes_weights() -> None:
    active = WeightSet.objects.get(state="active")
    allowed = {"marketer": True, "operator": False, "viewer": False}
    for role, may in allowed.items():
        user_may = {
            permission.codename
            for permission in Group.objects.get(name=role).permissions.filter(content_type__model="weightset")
        }
        assert user_may >= {"view_weightset"}
        assert ("change_weightset" in user_may) is may
        assert ("activate_weightset" in user_may) is may
        assert log_in(role).get(f"/admin/features/weightset/{active.pk}/change/").status_code == 200


def test_only_the_operator_changes_the_schedule() -> None:
    task = PeriodicTask.objects.get(task="features.refresh_dirty")
    data = {
        "name": task.name, "task": task.task, "regtask": "", "enabled": "on", "interval": task.interval_id,
        "args": "[]", "kwargs": "{}", "headers": "{}", "queue": "realtime", "description": "Looked at by hand",
    }  # fmt: skip
    for role, status in (("viewer", 403), ("marketer", 403), ("operator", 302)):
        response = log_in(role).post(f"/admin/django_celery_beat/periodictask/{task.pk}/change/", data)
        assert response.status_code == status, role
    task.refresh_from_db()
    assert task.description == "Looked at by hand"
    assert IntervalSchedule.objects.filter(pk=task.interval_id).exists()


@pytest.mark.parametrize("action", ["enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks"])
def test_only_the_operator_acts_on_the_schedule_and_it_is_logged(role: str, action: str) -> None:
    task = PeriodicTask.objects.get(task="features.fit_weights")
    LogEntry.objects.all().delete()
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=action == "disable_tasks")
    data = {"action": action, "_selected_action": [task.pk]}
    log_in(role).post("/admin/django_celery_beat/periodictask/", data)
    task.refresh_from_db()
    has_changed = action != "run_tasks" and task.enabled is not (action == "disable_tasks")
    assert (has_changed, LogEntry.objects.count()) == ((action != "run_tasks", 1) if role == "operator" else (False, 0))


def test_no_role_gives_itself_more(role: str) -> None:
    client = log_in(role)
    group = Group.objects.get(name="viewer")
    assert (
        client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "viewer", "permissions": [1]}).status_code == 403
    )
    assert client.post("/admin/auth/user/add/", {"username": "eve"}).status_code == 403


def test_staff_without_a_role_are_told_so_and_see_no_numbers() -> None:
    client = log_in()
    page = client.get("/admin/").content.decode()
    assert "Ask an administrator for one" in page
    assert "Waiting to be computed" not in page
    assert client.get("/admin/features/customer/").status_code == 403
    assert client.get("/admin/features/run/progress/?id=1").status_code == 403
    run = Run.objects.create(kind=Run.Kind.RESCORE, state=Run.State.DONE)
    assert client.get(f"/admin/features/weightset/progress/{run.pk}/").status_code == 403


def test_who_is_not_logged_in_is_asked_to(client: Client) -> None:
    for path in ("/admin/", "/admin/features/customer/c1/change/", "/admin/features/run/progress/"):
        response = client.get(path)
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/admin/login/")


def test_migrating_again_gives_back_what_a_role_lacks_and_takes_nothing() -> None:
    viewer = Group.objects.get(name="viewer")
    expected = set(viewer.permissions.values_list("codename", flat=True))
    viewer.permissions.clear()
    extra = Group.objects.get(name="operator").permissions.get(codename="add_apikey")
    viewer.permissions.add(extra)
    call_command("migrate", verbosity=0)
    assert set(viewer.permissions.values_list("codename", flat=True)) == expected | {"add_apikey"}
    assert Group.objects.filter(name__in=MANAGED).count() == len(MANAGED)
