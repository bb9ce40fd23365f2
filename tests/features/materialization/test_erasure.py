"""Erasure during late publications, computations and ingestions, none of which may recreate the customer."""

import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models.functions import Now

from events.models import DirtyCustomer, ErasedCustomer, Event
from features.materialization import recompute, refresh
from features.materialization.erasure import erase_customer
from features.models import Customer, CustomerFeature, Publication
from features.online import outbox, publish, store
from tests.factories import cached, make_customer, make_event, store_events


def everything_of(customer_id: str) -> dict[str, Any]:
    return {
        "events": Event.objects.filter(customer_id=customer_id).count(),
        "history": CustomerFeature.objects.filter(customer_id=customer_id).count(),
        "customers": Customer.objects.filter(pk=customer_id).count(),
        "redis": cached(customer_id),
    }


NOTHING = {"events": 0, "history": 0, "customers": 0, "redis": {}}


def test_a_publication_that_comes_late_is_deleted_by_the_mark_that_is_left(db: None) -> None:
    make_customer("c1", page_view=1)
    late = publish.current_values(["c1"])
    erase_customer("c1")
    store.write_hashes(late)
    assert cached("c1")
    DirtyCustomer.objects.update(due_at=Now())
    refresh.refresh_dirty()
    assert everything_of("c1") == NOTHING


def test_a_publication_that_is_overdue_does_not_bring_the_customer_back(db: None) -> None:
    make_customer("c1", page_view=1)
    make_customer("c2", page_view=1)
    outbox.announce(["c1", "c2"])
    late = publish.current_values(["c1"])
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
    erased.join(timeout=10)
    assert everything_of("c1") == NOTHING
    ErasedCustomer.objects.all().delete()


def test_the_command_prints_the_receipt(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    make_customer("c1", page_view=2)
    call_command("erase_customer", "c1")
    assert "events: 2" in capsys.readouterr().out.splitlines()
