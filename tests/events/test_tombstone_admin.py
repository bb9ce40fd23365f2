"""Tombstones in the admin: found by hashing an id, and removed by whoever may, with a reason."""

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from events import admin as events_admin
from events.models import DirtyCustomer, ErasedCustomer
from events.tombstones import hash_of, remove_tombstone
from featurehub.access.models import Scope
from features.materialization import refresh
from features.materialization.erasure import erase_customer
from features.models import Customer
from features.online.layout import ERASED_FIELD
from tests.factories import cached, make_client, make_event, post_events
from tests.staff import log_in

pytestmark = pytest.mark.django_db
LIST = "/admin/events/erasedcustomer/"
WHY = {"reason": "She came back and asked for it"}


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def make_tombstone(customer_id: str = "anna") -> ErasedCustomer:
    """Erase the customer and finish the erasure. Return the tombstone."""
    erase_customer(customer_id)
    finish_erasures()
    return ErasedCustomer.objects.get(customer_hash=hash_of(customer_id))


def finish_erasures() -> None:
    """Let PUBLICATION_TIME pass and a worker settle the marks."""
    DirtyCustomer.objects.update(due_at=Now())
    refresh.refresh_dirty()


def page_of(tombstone: ErasedCustomer) -> str:
    return reverse("admin:events_erasedcustomer_allow_again", args=[tombstone.pk])


def found(client: Client, query: str = "") -> list[int]:
    response = client.get(f"{LIST}{query}")
    assert response.status_code == 200, response
    return [row.pk for row in response.context["cl"].result_list]


def test_the_list_says_whose_hash_was_erased_when_and_never_who(operator: Client) -> None:
    tombstone = make_tombstone()
    page = operator.get(LIST).content.decode()
    assert hash_of("anna").hex()[:12] in page
    assert "anna" not in page
    assert hash_of("anna").hex() in operator.get(f"{LIST}{tombstone.pk}/change/").content.decode()


def test_the_search_hashes_what_was_typed(operator: Client) -> None:
    anna, berta = make_tombstone("anna"), make_tombstone("berta")
    assert found(operator) == [berta.pk, anna.pk]
    assert found(operator, "?q=anna") == [anna.pk]
    assert found(operator, "?q=%20anna%20") == [anna.pk]
    for other in ("Anna", "ann", hash_of("anna").hex(), "ü"):
        assert found(operator, f"?q={other}") == []


def test_where_nobody_was_erased_the_page_says_how_one_is(operator: Client) -> None:
    page = operator.get(LIST).content.decode()
    assert "No erased customers" in page
    assert "erase_customer" in page
    make_tombstone()
    page = operator.get(f"{LIST}?q=berta").content.decode()
    assert "Nothing matches" in page
    assert "which is hashed" in page


def test_the_button_asks_before_anything_is_changed(operator: Client) -> None:
    tombstone = make_tombstone()
    assert page_of(tombstone) in operator.get(f"{LIST}{tombstone.pk}/change/").content.decode()
    assert "new events and values for it are accepted" in operator.get(page_of(tombstone)).content.decode()
    for data in ({}, {"reason": "  "}, {"reason": "x" * 1_001}):
        page = operator.post(page_of(tombstone), data)
        assert page.status_code == 200
        assert 'role="alert"' in page.content.decode()
    assert ErasedCustomer.objects.count() == 1


def test_taken_away_the_customer_is_taken_in_again_as_a_new_one(operator: Client) -> None:
    api, tombstone = make_client(Scope.INGEST), make_tombstone()
    assert post_events(api, make_event(customer_id="anna")).json()["accepted"] == 0
    page = operator.post(page_of(tombstone), WHY, follow=True)
    assert page.redirect_chain == [(LIST, 302)]
    assert "is allowed again: events and values of it are taken in" in page.content.decode()
    assert post_events(api, make_event(customer_id="anna")).json() == {"accepted": 1, "duplicates": 0}


def test_while_the_erasure_is_not_finished_the_tombstone_stays_and_the_page_says_so(operator: Client) -> None:
    """The mark that is left would recreate the customer, with zeros, if the tombstone were gone."""
    erase_customer("anna")
    tombstone = ErasedCustomer.objects.get()
    page = operator.post(page_of(tombstone), WHY).content.decode()
    assert "The erasure is not finished" in page
    assert WHY["reason"] in page
    finish_erasures()
    assert operator.post(page_of(tombstone), WHY).status_code == 302
    refresh.refresh_dirty()
    assert not Customer.objects.exists()
    assert cached("anna").keys() == {ERASED_FIELD}


def test_the_marks_of_others_keep_no_tombstone(operator: Client) -> None:
    tombstone = make_tombstone("anna")
    post_events(make_client(Scope.INGEST), make_event(customer_id="berta"))
    assert operator.post(page_of(tombstone), WHY).status_code == 302


def test_the_log_says_who_took_it_away_and_why(operator: Client) -> None:
    make_tombstone("berta")
    operator.post(page_of(make_tombstone()), {"reason": "[1] <b>because</b>"})
    page = operator.get(LIST).content.decode()
    assert "[1] &lt;b&gt;because&lt;/b&gt;" in page
    assert hash_of("anna").hex()[:12] in page
    assert "staff-" in page
    assert "anna" not in page


def test_of_two_who_take_it_away_the_second_is_told(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    tombstone = make_tombstone()

    def somebody_is_faster(tombstone_id: int) -> bool:
        assert remove_tombstone(tombstone_id)
        return remove_tombstone(tombstone_id)

    monkeypatch.setattr(events_admin, "remove_tombstone", somebody_is_faster)
    assert "Somebody else was faster" in operator.post(page_of(tombstone), WHY, follow=True).content.decode()
    assert "Allowed again" not in operator.get(LIST).content.decode()
    assert operator.post(page_of(tombstone), WHY).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_other_roles_look_and_take_nothing_away(role: str) -> None:
    tombstone, client = make_tombstone(), log_in(role)
    assert found(client) == [tombstone.pk]
    assert page_of(tombstone) not in client.get(f"{LIST}{tombstone.pk}/change/").content.decode()
    assert client.post(page_of(tombstone), WHY).status_code == 403
    assert ErasedCustomer.objects.count() == 1


def test_nobody_deletes_or_edits_one_past_the_confirmation(operator: Client) -> None:
    tombstone, root = make_tombstone(), log_in(is_superuser=True)
    for client in (operator, root):
        assert client.post(f"{LIST}{tombstone.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.post(f"{LIST}{tombstone.pk}/change/", {}).status_code == 403
    assert ErasedCustomer.objects.count() == 1


@pytest.mark.parametrize("object_id", ["0", "none", "9" * 40])
def test_a_tombstone_that_does_not_exist_is_404(operator: Client, object_id: str) -> None:
    assert operator.get(f"{LIST}{object_id}/allow-again").status_code == 404
