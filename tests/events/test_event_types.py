"""Event types are registered: events of other types are refused, and those of registered ones are stored."""

import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.event_types import EVENT_TYPES
from events.ingest import ingest
from events.models import Event, EventType
from events.registered_types import event_types, load_types
from events.registration import (
    archive_event_type,
    delete_event_type,
    note_first_events,
    register_event_type,
    restore_event_type,
)
from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from tests.api_client import ApiClient
from tests.at_once import environment_of_tests
from tests.factories import ago, make_event, make_event_type, new_event, post_events, store_events, stored_events
from tests.import_files import rejected

COMPUTE = "/api/v1/features/compute/"


def refusal(answer: Any) -> dict[str, str]:
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    return dict(error)


@pytest.mark.django_db
def test_the_six_types_are_registered_from_the_start_in_their_order() -> None:
    assert load_types().names == EVENT_TYPES
    assert load_types().accepted == set(EVENT_TYPES)


# --- Events -----------------------------------------------------------------------------------------------------------


def test_an_event_of_a_registered_type_is_stored(api: ApiClient) -> None:
    assert post_events(api, make_event(event_type="trial_started")).status_code == 400
    make_event_type("trial_started")
    assert post_events(api, make_event(event_type="trial_started"), make_event()).json()["accepted"] == 2
    assert sorted(Event.objects.values_list("event_type", flat=True)) == ["page_view", "trial_started"]


def test_an_event_of_another_type_is_refused_with_the_registered_ones_and_the_way_to_register_it(
    api: ApiClient,
) -> None:
    make_event_type("trial_started")
    error = refusal(post_events(api, make_event(), make_event(event_type="trial_ended")))
    assert (error["attr"], error["code"]) == ("events.1.event_type", "unregistered_event_type")
    assert "login, trial_started" in error["detail"]
    assert "Register it in the admin under Event types" in error["detail"]
    assert stored_events() == 0


def test_an_archived_type_takes_no_new_events_and_keeps_those_that_it_has(api: ApiClient) -> None:
    make_event_type("trial_started")
    post_events(api, make_event(event_type="trial_started"))
    archive_event_type("trial_started")
    event_types.forget()
    error = refusal(post_events(api, make_event(event_type="trial_started")))
    assert (error["attr"], error["code"]) == ("events.0.event_type", "archived_event_type")
    assert stored_events() == 1
    restore_event_type("trial_started")
    event_types.forget()
    assert post_events(api, make_event(event_type="trial_started")).status_code == 201


def test_events_given_to_compute_are_of_registered_types(api: ApiClient) -> None:
    error = refusal(api.post(COMPUTE, {"events": [make_event(event_type="trial_started")]}))
    assert (error["attr"], error["code"]) == ("events.0.event_type", "unregistered_event_type")
    make_event_type("trial_started")
    answer = api.post(COMPUTE, {"events": [make_event(event_type="trial_started")]})
    assert answer.json()["features"]["page_views_30d"] == 0.0


@pytest.mark.django_db
def test_an_import_takes_registered_types_and_lists_the_rows_of_others(tmp_path: Path) -> None:
    make_event_type("trial_started")
    path = tmp_path / "events.jsonl"
    rows = [make_event(event_type=name, timestamp=ago(days=1).isoformat()) for name in ("trial_started", "visit")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CommandError):
        call_command("import_events", path)
    assert Event.objects.get().event_type == "trial_started"
    (line,) = rejected(path)
    assert (line["row"], line["attr"]) == (2, "event_type")
    assert "trial_started" in line["reason"]


@pytest.mark.django_db
def test_events_that_are_stored_without_validation_are_of_registered_types_too() -> None:
    with pytest.raises(InvalidError, match="registered"):
        store_events(make_event(event_type="trial_started"))
    assert stored_events() == 0


@pytest.mark.django_db
def test_a_name_of_64_characters_is_stored() -> None:
    make_event_type("t" * 64)
    store_events(make_event(event_type="t" * 64))
    assert Event.objects.get().event_type == "t" * 64


@pytest.mark.django_db
def test_events_cost_no_query_for_their_types() -> None:
    make_event_type("trial_started")
    store_events(make_event(event_type="trial_started"))
    event_types.forget()
    event_types.get()
    with CaptureQueriesContext(connection) as queries:
        ingest([new_event(), new_event(event_type="trial_started")])
    assert not any("events_eventtype" in query["sql"] for query in queries.captured_queries)


# --- Their life -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "Trial", "1st", "trial-started", "trial started", "t" * 65, "versuch_ü", "a\n"])
def test_a_name_is_a_word_of_lower_case_letters_digits_and_underscores(name: str) -> None:
    with pytest.raises(InvalidError):
        register_event_type(name)
    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        EventType.objects.create(name=name, label="x")


@pytest.mark.django_db
def test_a_type_is_registered_once_with_a_label_of_its_own_or_its_name_in_words() -> None:
    assert register_event_type("trial_started").label == "Trial started"
    assert register_event_type("t9", label="T", description="Sent by the app").description == "Sent by the app"
    with pytest.raises(ConflictError, match="registered already"):
        register_event_type("trial_started")


@pytest.mark.django_db
def test_archiving_and_restoring_twice_are_conflicts() -> None:
    make_event_type("trial_started")
    with pytest.raises(ConflictError):
        restore_event_type("trial_started")
    archive_event_type("trial_started")
    with pytest.raises(ConflictError):
        archive_event_type("trial_started")
    with pytest.raises(UnknownError):
        archive_event_type("trial_ended")


@pytest.mark.django_db
def test_a_type_is_deleted_as_long_as_it_never_had_an_event() -> None:
    make_event_type("trial_started")
    make_event_type("trial_ended")
    store_events(make_event(event_type="trial_started"))
    delete_event_type("trial_ended")
    for name in ("trial_started", "page_view"):
        with pytest.raises(ConflictError, match="Archive it instead"):
            delete_event_type(name)
    assert load_types().names == (*EVENT_TYPES, "trial_started")


# --- Between processes ------------------------------------------------------------------------------------------------


def test_a_type_that_another_process_registers_is_known_before_its_event_is_refused(
    committed: None, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "trial_started" not in event_types.get().labels
    with psycopg.connect(environment_of_tests()["DATABASE_URL"], autocommit=True) as other:
        other.execute("insert into events_eventtype (name, label, description) values ('trial_started', 'T', '')")
    monkeypatch.setattr("events.registered_types.LOOK_AGAIN_SECONDS", 0.0)
    assert post_events(api, make_event(event_type="trial_started")).status_code == 201


def test_a_type_is_not_deleted_while_its_first_event_is_being_stored(committed: None) -> None:
    make_event_type("trial_started")
    outcome: list[object] = []

    def delete() -> None:
        try:
            delete_event_type("trial_started")
        except ConflictError as error:
            outcome.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        ingest([new_event(event_type="trial_started")])
        thread = threading.Thread(target=delete)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()  # it waits for this transaction
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert len(outcome) == 1
    assert EventType.objects.get(name="trial_started").used_at is not None


def test_the_first_event_of_a_type_that_was_deleted_meanwhile_is_refused(committed: None) -> None:
    make_event_type("trial_started")
    assert "trial_started" in event_types.get().unused
    with psycopg.connect(environment_of_tests()["DATABASE_URL"], autocommit=True) as other:
        other.execute("delete from events_eventtype where name = 'trial_started'")
    with pytest.raises(InvalidError):
        ingest([new_event(event_type="trial_started")])
    assert stored_events() == 0


def test_an_event_that_is_rolled_back_leaves_its_type_unused(committed: None) -> None:
    make_event_type("trial_started")
    with transaction.atomic():
        note_first_events(["trial_started"])
        transaction.set_rollback(True)
    assert EventType.objects.get(name="trial_started").used_at is None
    delete_event_type("trial_started")


def test_an_archived_type_is_known_as_such_at_once_in_the_process_that_archives_it(
    committed: None, api: ApiClient
) -> None:
    register_event_type("trial_started")
    assert post_events(api, make_event(event_type="trial_started")).status_code == 201
    archive_event_type("trial_started")
    assert post_events(api, make_event(event_type="trial_started")).status_code == 400
    assert EventType.objects.get(name="trial_started").archived_at <= timezone.now()
