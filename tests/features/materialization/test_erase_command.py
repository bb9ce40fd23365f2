"""manage.py erase_customer asks before it erases an id of which nothing is known: it may be misspelt."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from events.models import ErasedCustomer
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def erase(customer_id: str, *arguments: str) -> str:
    out = StringIO()
    call_command("erase_customer", customer_id, *arguments, stdout=out)
    return out.getvalue()


def test_a_known_customer_is_erased_without_a_question_and_again() -> None:
    make_customer("c1", page_view=1)
    assert "events: 1" in erase("c1")
    assert "events: 0" in erase("c1")


def test_an_unknown_id_is_not_erased_by_mistake() -> None:
    with pytest.raises(CommandError, match=r"'c11'.*--yes"):
        erase("c11")
    assert not ErasedCustomer.objects.exists()


def test_an_unknown_id_is_erased_with_yes() -> None:
    assert "events: 0" in erase("c11", "--yes")
    assert ErasedCustomer.objects.count() == 1
