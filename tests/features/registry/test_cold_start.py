"""Redis is empty while clients read: every answer is right, and the values are cached again."""

import pytest
from django_redis import get_redis_connection

from features.serving.feature_store import get_feature_values
from tests.at_once import at_once
from tests.factories import cached, make_customer

CUSTOMERS = [f"c{number}" for number in range(40)]
ROUNDS = 3


@pytest.mark.usefixtures("committed")
def test_reads_of_an_empty_redis_are_right_and_fill_it() -> None:
    for number, customer_id in enumerate(CUSTOMERS):
        make_customer(customer_id, page_view=number % 5 + 1)
    get_redis_connection("default").flushdb()

    def read() -> list[tuple[str, float]]:
        answers = []
        for _ in range(ROUNDS):
            for values in get_feature_values(CUSTOMERS, names=["page_views_30d"]):
                answers.append((values.source, values.features["page_views_30d"]))
        return answers

    expected = [float(number % 5 + 1) for number in range(len(CUSTOMERS))] * ROUNDS
    for answers in at_once(*[read] * 4):
        assert [value for _, value in answers] == expected
    assert all(cached(customer_id)["page_views_30d"] for customer_id in CUSTOMERS)
    assert {values.source for values in get_feature_values(CUSTOMERS, names=["page_views_30d"])} == {"cache"}
