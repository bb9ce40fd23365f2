"""A category may be as long as metadata may be; its stored form fits the index that windows are read from."""

import random

import pytest
from django.db import connection

from events.categories import LONGEST_CATEGORY, stored_category
from events.models import Event
from features.engines import in_process, postgres
from features.materialization.locks import database_now
from tests.factories import make_purchase, new_event, store_events

# Random characters of four bytes each, which PostgreSQL can't compress.
draw = random.Random(3)
WIDE = "".join(chr(draw.randrange(0x1F300, 0x1FAFF)) for _ in range(2_000))


def test_a_category_of_the_greatest_length_is_kept_and_a_longer_one_is_stood_for() -> None:
    assert stored_category("a" * LONGEST_CATEGORY) == "a" * LONGEST_CATEGORY
    assert stored_category("a" * (LONGEST_CATEGORY + 1)) != stored_category("a" * (LONGEST_CATEGORY + 2))
    assert stored_category(WIDE) == stored_category(WIDE)
    assert len(stored_category(WIDE)) <= LONGEST_CATEGORY


@pytest.mark.parametrize("category", [WIDE, WIDE[:LONGEST_CATEGORY]])
def test_an_event_with_everything_at_its_longest_is_stored(db: None, category: str) -> None:
    event = make_purchase(
        customer_id=WIDE[:128], session_id=WIDE[128:256], event_id=WIDE[:64], amount=1.7976931348623157e308,
        category=category,
    )  # fmt: skip
    store_events(event)
    assert Event.objects.get().metadata["category"] == category


def test_long_categories_count_as_what_they_are_in_every_engine(db: None) -> None:
    events = [make_purchase(category=category) for category in (WIDE, WIDE, WIDE[:-1], "short")]
    store_events(*events)
    as_of = database_now()
    stored = postgres.aggregate(["c1"], as_of=as_of, window_days=30)
    new = [new_event(**event) for event in events]
    computed = in_process.aggregate(new, customer_id="c1", as_of=as_of, window_days=30)
    assert (stored.categorised_events.tolist(), stored.top_category_events.tolist()) == ([4], [2])
    assert computed.to_records() == stored.to_records()


def test_a_window_is_read_from_its_index_alone(committed: None) -> None:
    store_events(*(make_purchase(category="a", session_id="s") for _ in range(50)))
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze events_event")
        cursor.execute("set enable_seqscan = off; set enable_bitmapscan = off")
        asked = {**postgres.shared_parameters(database_now(), window_days=30), "customer_ids": ["c1"]}
        cursor.execute(f"explain {postgres.activity_sql_of(())}", asked)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("reset enable_seqscan; reset enable_bitmapscan")
    assert "Index Only Scan" in plan
