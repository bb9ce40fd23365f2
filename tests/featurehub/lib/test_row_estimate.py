"""Row estimates: the cost does not grow with the number of rows."""

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from events.models import DirtyCustomer
from featurehub.lib import row_estimate
from featurehub.lib.row_estimate import estimate_rows

pytestmark = pytest.mark.django_db


def make_marks(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into events_dirtycustomer (customer_id, due_at)"
            " select 'c' || n, now() from generate_series(1, %s) n",
            [number],
        )
        cursor.execute("analyze events_dirtycustomer")


def test_a_small_table_is_counted(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_marks(3)
    with django_assert_num_queries(1):
        size = estimate_rows(DirtyCustomer.objects.order_by("due_at"))
    assert (size.number, size.is_exact, str(size)) == (3, True, "3")


def test_an_empty_table_has_no_rows() -> None:
    assert str(estimate_rows(DirtyCustomer.objects.all())) == "0"


def test_a_large_table_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_estimate, "COUNTED", 100)
    make_marks(5_000)
    size = estimate_rows(DirtyCustomer.objects.all())
    assert not size.is_exact
    assert 4_000 < size.number < 6_000
    assert str(size).startswith("about ")


def test_an_estimate_is_never_less_than_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_estimate, "COUNTED", 100)
    make_marks(5_000)
    with connection.cursor() as cursor:
        cursor.execute("delete from events_dirtycustomer")
        cursor.execute("analyze events_dirtycustomer")
    make_marks(0)
    assert str(estimate_rows(DirtyCustomer.objects.all())) == "0"
