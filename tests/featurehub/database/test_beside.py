"""Cursors that send their parameters beside the statement are Django's cursors in every other way."""

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from featurehub.database.beside import parameters_beside

pytestmark = pytest.mark.usefixtures("db")


def test_the_statement_has_no_parameter_in_it() -> None:
    with parameters_beside() as cursor:
        cursor.execute(
            "select %(text)s::text, query from pg_stat_activity where pid = pg_backend_pid()", {"text": "it's"}
        )
        text, statement = cursor.fetchone()
    assert (text, "it's" in statement, "$1" in statement) == ("it's", False, True)


def test_its_queries_are_counted_with_all_others() -> None:
    with CaptureQueriesContext(connection) as captured, parameters_beside() as cursor:
        cursor.execute("select %(number)s::int", {"number": 1})
    assert len(captured) == 1


def test_its_errors_are_django_s() -> None:
    with pytest.raises(DataError), transaction.atomic(), parameters_beside() as cursor:
        cursor.execute("select %(text)s::int", {"text": "none"})
