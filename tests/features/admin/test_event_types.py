"""Event types in the admin: registered by operators, archived, restored, and deleted while nothing uses them."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from events.models import EventType
from events.registration import archive_event_type
from tests.factories import make_definition, make_event, make_event_type, make_weight_set, store_events
from tests.staff import log_in

pytestmark = pytest.mark.django_db
LIST = "/admin/events/eventtype/"


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def page(row: EventType, part: str) -> str:
    return f"{LIST}{row.pk}/{part}/"


def logged() -> list[str]:
    entries = LogEntry.objects.filter(content_type__model="eventtype").order_by("pk")
    return [entry.get_change_message() for entry in entries]


def test_the_list_shows_every_type_with_its_label_and_state(operator: Client) -> None:
    make_event_type("trial_started", label="Trial begins")
    archive_event_type("trial_started")
    text = operator.get(LIST).content.decode()
    assert "trial_started" in text
    assert "Trial begins" in text
    assert "archived" in text


def test_an_operator_registers_a_type(operator: Client) -> None:
    sent = {"name": "trial_started", "label": "Trial started", "description": "Sent by the app"}
    assert operator.post(f"{LIST}add/", sent).status_code == 302
    row = EventType.objects.get(name="trial_started")
    assert (row.label, row.archived_at, row.used_at) == ("Trial started", None, None)
    assert logged() == ["Added."]


def test_a_wrong_name_is_shown_in_the_form(operator: Client) -> None:
    for name in ("Trial started", "page_view", "t" * 65):
        answer = operator.post(f"{LIST}add/", {"name": name, "label": "x"})
        assert answer.status_code == 200
        assert "name" in answer.context["adminform"].form.errors


def test_the_name_does_not_change_and_the_label_does(operator: Client) -> None:
    row = make_event_type("trial_started")
    operator.post(page(row, "change"), {"name": "other", "label": "Trial", "description": ""})
    row.refresh_from_db()
    assert (row.name, row.label) == ("trial_started", "Trial")


def test_a_type_is_archived_and_restored_with_a_reason_in_the_log(operator: Client) -> None:
    row = make_event_type("trial_started")
    assert "Archive" in operator.get(page(row, "archive")).content.decode()
    operator.post(page(row, "archive"), {"reason": "No trials any more", "to": "archived"})
    row.refresh_from_db()
    assert row.archived_at is not None
    assert "Restore" in operator.get(page(row, "archive")).content.decode()
    operator.post(page(row, "archive"), {"reason": "Trials again", "to": "accepted"})
    row.refresh_from_db()
    assert row.archived_at is None
    assert logged() == ["Archived. No trials any more", "Restored. Trials again"]


def test_the_step_of_a_page_that_is_out_of_date_is_not_turned_round(operator: Client) -> None:
    row = make_event_type("trial_started")
    archive_event_type("trial_started")
    answer = operator.post(page(row, "archive"), {"reason": "No trials", "to": "archived"}, follow=True)
    assert "archived already" in answer.content.decode()
    row.refresh_from_db()
    assert row.archived_at is not None
    assert logged() == []


def test_an_unused_type_is_deleted(operator: Client) -> None:
    row = make_event_type("trial_started")
    operator.post(page(row, "delete"), {"post": "yes"})
    assert not EventType.objects.filter(name="trial_started").exists()


def test_a_type_with_events_and_one_of_the_first_are_not_deleted(operator: Client) -> None:
    row = make_event_type("trial_started")
    store_events(make_event(event_type="trial_started"))
    for stays in (row, EventType.objects.get(name="page_view")):
        assert operator.post(page(stays, "delete"), {"post": "yes"}).status_code == 403
    assert EventType.objects.filter(name="trial_started").exists()


def test_a_type_that_a_feature_or_a_weight_counts_is_not_deleted(operator: Client) -> None:
    counted, weighed = make_event_type("trial_started"), make_event_type("trial_ended")
    make_definition("trials_7d", "behavioral", event_type="trial_started", window="7d")
    make_weight_set(name="Trials").weights.create(event_type="trial_ended", weight=0.5, norm=1)
    for row, used_by in ((counted, "trials_7d"), (weighed, "Trials")):
        answer = operator.post(page(row, "delete"), {"post": "yes"}, follow=True)
        assert used_by in answer.content.decode()
        assert EventType.objects.filter(pk=row.pk).exists()


def test_others_than_operators_look_only() -> None:
    row = make_event_type("trial_started")
    viewer = log_in("viewer")
    assert viewer.get(LIST).status_code == 200
    assert viewer.post(f"{LIST}add/", {"name": "x", "label": "x"}).status_code == 403
    assert viewer.get(page(row, "archive")).status_code == 403
    viewer.post(page(row, "archive"), {"reason": "x", "to": "archived"})
    row.refresh_from_db()
    assert row.archived_at is None
