"""A step in the admin and its entry in the log are one transaction: a process that dies between leaves neither.

Each step is taken again and again, and dies before its first write, then before its second, until it lives.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from featurehub.access.models import ApiKey, create_api_key
from features.models import BaselineWeek, ConsistencyCheck, FeatureThresholds, Run
from tests.features.admin.consistency.test_model_admin import make_check
from tests.features.admin.values.test_model_admin import make_days, yesterday
from tests.staff import log_in

pytestmark = pytest.mark.django_db
# The tables that a step writes, its address, and what is posted there.
Prepared = tuple[tuple[type[Model], ...], str, dict[str, Any]]
KEYS, TASKS, USERS = "/admin/access/apikey/", "/admin/django_celery_beat/periodictask/", "/admin/auth/user/"
VALUES, CHECKS = "/admin/features/featureprofile/", "/admin/features/consistencycheck/"


class Died(Exception):
    """The process ends here."""


def contents(tables: tuple[type[Model], ...]) -> list[Any]:
    """Return all rows of the tables and of the admin's log."""
    return [list(table._default_manager.order_by("pk").values()) for table in (*tables, LogEntry)]


def dying_before(number: int, *, tables: tuple[type[Model], ...]) -> Callable[..., object]:
    """Return a wrapper of statements that raises Died in place of the numbered write to the tables or to the log."""
    names = [f'"{table._meta.db_table}"' for table in (*tables, LogEntry)]
    writes = count(1)

    def execute(go_on: Callable[..., object], sql: str, *arguments: object) -> object:
        is_write = sql.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))
        if is_write and any(name in sql for name in names) and next(writes) == number:
            raise Died
        return go_on(sql, *arguments)

    return execute


def rotation() -> Prepared:
    key, _ = create_api_key("shop", scopes=["read"])
    return (ApiKey,), f"{KEYS}{key.pk}/rotate/", {"old_ends": "24"}


def revocation() -> Prepared:
    keys = [create_api_key(name, scopes=["read"])[0].pk for name in ("shop", "crm")]
    return (ApiKey,), KEYS, {"action": "revoke_selected", "_selected_action": keys, "confirmed": "yes"}


def lifted_lock() -> Prepared:
    lock = AccessAttempt.objects.create(
        username="ann", ip_address="192.0.2.1", attempt_time=timezone.now(), failures_since_start=1
    )
    return (AccessAttempt,), "/admin/axes/accessattempt/", {"action": "lift", "_selected_action": [lock.pk]}


def changed_password() -> Prepared:
    user = User.objects.create_user("ann", password="not yet her own")
    password = {"password1": "of her own", "password2": "of her own", "usable_password": "true"}
    return (User,), f"{USERS}{user.pk}/password/", password


def deleted_users() -> Prepared:
    users = [User.objects.create_user(name).pk for name in ("ann", "bob")]
    return (User,), USERS, {"action": "delete_selected", "_selected_action": users, "post": "yes"}


def on_tasks(action: str) -> Callable[[], Prepared]:
    """Return the preparation of an action on two periodic tasks, one of them enabled. Beat looks at PeriodicTasks."""

    def prepared() -> Prepared:
        tasks = list(PeriodicTask.objects.order_by("pk")[:2])
        PeriodicTask.objects.filter(pk=tasks[0].pk).update(enabled=False)
        data = {"action": action, "_selected_action": [task.pk for task in tasks], "post": "yes"}
        return (PeriodicTask, PeriodicTasks), TASKS, data

    return prepared


def baseline() -> Prepared:
    make_days()
    return (BaselineWeek,), f"{VALUES}baseline/", {"first_day": yesterday(), "reason": "A test"}


def thresholds() -> Prepared:
    address = f"{VALUES}{make_days().pk}/thresholds/"
    return (FeatureThresholds,), address, {"stability_index": "50", "largest_distance": "1"}


def begun_check() -> Prepared:
    return (Run, ConsistencyCheck), f"{CHECKS}begin/", {}


def begun_repair() -> Prepared:
    return (Run, ConsistencyCheck), f"{CHECKS}{make_check().pk}/repair/", {}


STEPS: dict[str, Callable[[], Prepared]] = {
    "rotate a key": rotation,
    "revoke keys": revocation,
    "lift a lock": lifted_lock,
    "change a password": changed_password,
    "delete users": deleted_users,
    "enable tasks": on_tasks("enable_tasks"),
    "disable tasks": on_tasks("disable_tasks"),
    "toggle tasks": on_tasks("toggle_tasks"),
    "delete tasks": on_tasks("delete_selected"),
    "choose a baseline": baseline,
    "set thresholds": thresholds,
    "begin a check": begun_check,
    "begin a repair": begun_repair,
}


@pytest.fixture
def root() -> Client:
    return log_in(is_superuser=True)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_dies_at_any_write_has_changed_nothing_and_logged_nothing(root: Client, step: str) -> None:
    tables, address, data = STEPS[step]()
    before = contents(tables)
    for number in count(1):
        with connection.execute_wrapper(dying_before(number, tables=tables)):
            try:
                root.post(address, data)
            except Died:
                assert contents(tables) == before, f"before write {number}"
            else:
                break
    assert number > 2, "It writes in two places at least."
    assert all(now != then for now, then in zip(contents(tables), before, strict=True))
