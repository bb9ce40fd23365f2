"""Erasure during late publications, computations and ingestions, none of which may recreate the customer."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django_redis import get_redis_connection

from events.models import DirtyCustomer, ErasedCustomer, Event
from events.tombstones import remove_tombstone
from featurehub.lib.errors import ConflictError
from features.materialization import erasure, recompute, refresh
from features.materialization.erasure import erase_customer
from features.models import Customer, CustomerFeature, Publication
from features.online import outbox, publish, store
from features.online.layout import ERASED_FIELD
from tests.away import redis_away
from tests.factories import cached, make_customer, make_event, store_events
from tests.hashes import hashes, make_versions


def everything_of(customer_id: str) -> dict[str, Any]:
    return {
        "events": Event.objects.filter(customer_id=customer_id).count(),
        "history": CustomerFeature.objects.filter(customer_id=customer_id).count(),
        "customers": Customer.objects.filter(pk=customer_id).count(),
        "redis": {field: text for field, text in cached(customer_id).items() if field != ERASED_FIELD},
    }


NOTHING = {"events": 0, "history": 0, "customers": 0, "redis": {}}


def test_a_publication_that_comes_late_is_refused_by_redis(db: None) -> None:
    make_versions()
    make_customer("c1", page_view=1)
    late = publish.current_hashes(["c1"])
    assert len(late) > 1
    erase_customer("c1")
    store.write_hashes(late)
    held = hashes("c1").values()
    assert len(held) >= len(late)
    assert not [name for fields in held for name in fields if not name.startswith("_")]
    assert not any(fields.get("_behavioral") or fields.get("_behavioral:base") for fields in held)
    assert 3500 < (store.seconds_left("c1") or 0) <= 3600


def test_a_publication_that_comes_late_to_a_redis_without_memory_is_deleted_by_the_mark(db: None) -> None:
    make_customer("c1", page_view=1)
    late = publish.current_hashes(["c1"])
    erase_customer("c1")
    get_redis_connection("default").flushdb()
    store.write_hashes(late)
    assert cached("c1")["page_views_30d"] == "1.0"
    DirtyCustomer.objects.update(due_at=Now())
    refresh.refresh_dirty()
    assert everything_of("c1") == NOTHING


def test_a_read_of_an_erased_customer_leaves_the_refusal_as_long_as_it_was(db: None) -> None:
    make_customer("c1", page_view=1)
    late = publish.current_hashes(["c1"])
    erase_customer("c1")
    publish.publish(["c1"])
    assert cached("c1")["_behavioral"] == ""
    assert (store.seconds_left("c1") or 0) > 3500
    store.write_hashes(late)
    assert "page_views_30d" not in cached("c1")


def test_values_of_a_customer_that_is_allowed_again_are_published_at_once(db: None) -> None:
    make_customer("c1", page_view=1)
    erase_customer("c1")
    DirtyCustomer.objects.update(due_at=Now())
    refresh.refresh_dirty()
    assert remove_tombstone(ErasedCustomer.objects.get().pk)
    make_customer("c1", page_view=2)
    assert cached("c1")["page_views_30d"] == "2.0"


def test_an_erasure_with_redis_away_is_not_done_until_the_sweep_finds_redis_back(db: None) -> None:
    make_customer("c1", page_view=1)
    with redis_away():
        receipt = erase_customer("c1")
    assert (receipt.done, receipt.redis_keys) == (False, None)
    assert cached("c1")
    assert outbox.publish_overdue() == 1
    assert everything_of("c1") == NOTHING
    again = erase_customer("c1")
    assert (again.done, again.redis_keys) == (True, 0)


def test_an_erasure_with_redis_full_is_done(db: None, request: pytest.FixtureRequest) -> None:
    make_customer("c1", page_view=1)
    request.getfixturevalue("full_redis")
    receipt = erase_customer("c1")
    assert (receipt.done, receipt.redis_keys) == (True, 1)
    assert everything_of("c1") == NOTHING


def test_a_publication_that_is_overdue_does_not_bring_the_customer_back(db: None) -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=1)
    outbox.announce(["c1", "c2"])
    late = publish.current_hashes(["c1"])
    erase_customer("c1")
    store.write_hashes(late)
    Publication.objects.update(due_at=Now())
    assert outbox.publish_overdue() == 2
    assert everything_of("c1") == NOTHING
    assert cached("c2")


def test_recomputing_everybody_does_not_bring_the_customer_back(db: None) -> None:
    make_customer("c1", page_view=1)
    erase_customer("c1")
    run = recompute.begin_recompute()
    while recompute.load_chunk(run):
        pass
    recompute.recompute_customers(customer_ids=["c1"])
    assert everything_of("c1") == NOTHING


def test_events_that_are_on_their_way_are_waited_for_and_deleted(committed: None) -> None:
    """An ingestion has not committed yet when the erasure begins."""
    erased = threading.Thread(target=lambda: (erase_customer("c1"), connections.close_all()))
    with transaction.atomic():
        store_events(make_event(customer_id="c1"))
        erased.start()
        erased.join(timeout=0.5)
        assert erased.is_alive()
    erased.join(60)
    assert not erased.is_alive()
    assert everything_of("c1") == NOTHING
    ErasedCustomer.objects.all().delete()


def test_the_command_prints_the_receipt(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    make_customer("c1", page_view=2)
    call_command("erase_customer", "c1")
    lines = capsys.readouterr().out.splitlines()
    assert {"events: 2", "redis_keys: 1", "done: True"} <= set(lines)


def test_the_command_says_where_it_is_not_done(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    make_customer("c1", page_view=2)
    with redis_away(), pytest.raises(CommandError, match="Not done yet: Redis is away") as caught:
        call_command("erase_customer", "c1")
    assert caught.value.returncode == 2
    assert {"events: 2", "redis_keys: None", "done: False"} <= set(capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("has_earlier_mark", [False, True])
def test_an_erasure_whose_process_dies_after_the_tombstone_is_finished_by_a_worker(
    db: None, monkeypatch: pytest.MonkeyPatch, has_earlier_mark: bool
) -> None:
    make_customer("c1", page_view=1)
    store_events(*([make_event()] if has_earlier_mark else []))
    die_after_the_tombstone(monkeypatch)
    if not has_earlier_mark:
        DirtyCustomer.objects.update(due_at=Now())
    refresh.refresh_dirty()
    assert everything_of("c1") == NOTHING
    assert DirtyCustomer.objects.get().due_at > timezone.now()
    DirtyCustomer.objects.update(due_at=Now())
    refresh.refresh_dirty()
    assert not DirtyCustomer.objects.exists()


def test_the_tombstone_of_an_erasure_that_is_not_finished_stays(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_customer("c1", page_view=1)
    die_after_the_tombstone(monkeypatch)
    with pytest.raises(ConflictError, match="not finished"):
        remove_tombstone(ErasedCustomer.objects.get().pk)


def die_after_the_tombstone(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(customer_ids: Sequence[str]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "register_customers", die)
        with pytest.raises(KeyboardInterrupt):
            erase_customer("c1")
