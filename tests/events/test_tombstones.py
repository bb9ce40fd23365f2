"""Tombstones hold an HMAC of the customer's id under a key that PostgreSQL never gets; earlier keys stay usable."""

import hashlib
import hmac

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from events.models import DirtyCustomer, ErasedCustomer
from events.tombstones import add_tombstone, erased_among, hash_of
from features.materialization import recompute
from features.materialization.erasure import erase_customer
from features.models import Customer
from tests.factories import make_event, store_events

pytestmark = pytest.mark.django_db
KEY, NEW_KEY = (
    "an-old-key-of-thirty-two-letters",
    "a-new-key-of-its-own-that-is-much-longer-than-a-block-of-64-bytes-is",
)


@pytest.mark.parametrize("key", ["k", KEY, NEW_KEY, "x" * 64, "ключ"])
@pytest.mark.parametrize("customer_id", ["c1", "ü", "x" * 128])
def test_the_hash_is_the_hmac_of_the_standard_library(key: str, customer_id: str) -> None:
    with override_settings(TOMBSTONE_KEYS=[key]):
        assert hash_of(customer_id) == hmac.digest(key.encode(), customer_id.encode(), "sha256")


def test_a_tombstone_does_not_tell_whose_it_is_to_somebody_without_the_key() -> None:
    erase_customer("c1")
    stored = bytes(ErasedCustomer.objects.get().customer_hash)
    assert stored == hash_of("c1") != hashlib.sha256(b"c1").digest()


def test_no_statement_has_the_key_in_it() -> None:
    with override_settings(TOMBSTONE_KEYS=[KEY]), CaptureQueriesContext(connection) as statements:
        erase_customer("c1")
        erased_among([f"c{number}" for number in range(1_000)])
    text = " ".join(statement["sql"] for statement in statements).lower()
    for secret in (KEY, KEY.encode().hex(), bytes(byte ^ 0x36 for byte in KEY.encode()).hex()):
        assert secret not in text


@pytest.mark.parametrize("number", [1, 99, 100, 5_000])
def test_erased_customers_are_found_among_any_number(number: int) -> None:
    customer_ids = [f"c{place}" for place in range(number)]
    assert erased_among(customer_ids) == set()
    erased = {customer_ids[0], customer_ids[-1]}
    for customer_id in (*erased, "another"):
        add_tombstone(customer_id)
    assert erased_among(customer_ids) == erased


def test_where_nobody_was_erased_many_customers_are_not_hashed() -> None:
    with CaptureQueriesContext(connection) as statements:
        erased_among([f"c{place}" for place in range(1_000)])
    assert [len(statement["sql"]) < 200 for statement in statements] == [True]


def test_tombstones_of_an_earlier_key_still_refuse_and_are_not_doubled() -> None:
    with override_settings(TOMBSTONE_KEYS=[KEY]):
        add_tombstone("before")
    with override_settings(TOMBSTONE_KEYS=[NEW_KEY, KEY]):
        add_tombstone("before")
        add_tombstone("after")
        assert ErasedCustomer.objects.count() == 2
        assert erased_among(["before", "after", "never"]) == {"before", "after"}
    with override_settings(TOMBSTONE_KEYS=[NEW_KEY]):
        assert erased_among(["before", "after", "never"]) == {"after"}


def test_a_run_over_everybody_registers_marked_customers_but_not_erased_ones() -> None:
    store_events(*(make_event(customer_id=f"c{number}") for number in range(20)))
    erase_customer("c7")
    assert DirtyCustomer.objects.filter(customer_id="c7").exists()
    recompute.begin_recompute()
    assert set(Customer.objects.values_list("pk", flat=True)) == {f"c{number}" for number in range(20)} - {"c7"}


@pytest.mark.parametrize(("key", "is_fine"), [("short", False), ("secret-" * 8, False), (KEY, True)])
def test_a_deployment_needs_a_long_key_of_its_own(key: str, is_fine: bool) -> None:
    with override_settings(TOMBSTONE_KEYS=[key], SECRET_KEY="secret-" * 8):
        found = {message.id for message in run_checks(include_deployment_checks=True)}
    assert ("events.W001" not in found) is is_fine


def test_a_process_without_the_key_of_a_tombstone_is_not_ready(client: Client) -> None:
    with override_settings(TOMBSTONE_KEYS=[KEY]):
        erase_customer("c1")
        assert client.get("/readyz").json()["checks"]["tombstones"] == "ok"
    with override_settings(TOMBSTONE_KEYS=[NEW_KEY]):
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "FEATUREHUB_TOMBSTONE_KEY" in answer.json()["checks"]["tombstones"]
    with override_settings(TOMBSTONE_KEYS=[NEW_KEY, KEY]):
        assert client.get("/readyz").json()["checks"]["tombstones"] == "ok"
    ErasedCustomer.objects.all().delete()
    with override_settings(TOMBSTONE_KEYS=[NEW_KEY]):
        assert client.get("/readyz").json()["checks"]["tombstones"] == "ok"
