"""The PostgreSQL engine against the in-process one: on the same log they give the same numbers, to the last bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from events.ingest import ingest
from events.partitions import make_partitions
from events.validation import NewEvent
from features.computation import register
from features.engines import in_process, postgres
from features.formulas import LARGEST
from tests.factories import new_event

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
WINDOW = timedelta(days=30)
CUSTOMERS = ("c1", "ünïcode-客户-🛒", "c1:behavioral:1.0", "%s{}'\"")
# A log is made of few ids, sessions, categories and moments, so that they meet.
BOUNDARIES = [end + timedelta(microseconds=tick) for end in (AS_OF - WINDOW, AS_OF) for tick in (-1, 0, 1)]
moments = st.one_of(
    st.sampled_from(BOUNDARIES),
    st.integers(-31 * 86_400 * 10**6, 86_400 * 10**6).map(lambda tick: AS_OF + timedelta(microseconds=tick)),
)
amounts = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, 0.1, 0.2, 19.99, 1e16, 1e308, LARGEST]),
    st.floats(min_value=0, max_value=LARGEST),
    st.integers(0, 2**64 - 1),
)
categories = st.sampled_from(["", " ", "a", "A", "ä", "a\u0308", "💐"])
metadata = st.fixed_dictionaries({}, optional={"amount": amounts, "category": categories, "other": st.none()})
events = st.builds(
    new_event,
    customer_id=st.sampled_from(CUSTOMERS),
    event_id=st.one_of(st.none(), st.sampled_from("abc")),
    event_type=st.sampled_from(EVENT_TYPES),
    timestamp=moments,
    session_id=st.one_of(st.none(), st.sampled_from(["s1", "s2", " "])),
    metadata=metadata,
)


@contextmanager
def stored(log: list[NewEvent]) -> Iterator[None]:
    """The log in PostgreSQL, for the duration of the block."""
    with transaction.atomic():
        ingest(log)
        yield
        transaction.set_rollback(True)


@pytest.fixture
def partitions(db: None) -> None:
    make_partitions(AS_OF - 2 * WINDOW, until=AS_OF + WINDOW)


def by_customer(log: list[NewEvent], *, window_days: int = 30) -> dict[str, dict[str, Any]]:
    """What the in-process engine makes of the log. The first of two events with one id and timestamp is the one."""
    kept = in_process.distinct(log)
    return {
        customer_id: in_process.aggregate(
            [event for event in kept if event.customer_id == customer_id],
            customer_id=customer_id,
            as_of=AS_OF,
            window_days=window_days,
        ).to_records()[0]
        for customer_id in CUSTOMERS
    }


def records(activity: Any) -> dict[str, dict[str, Any]]:
    return dict(zip(activity.customer_ids, activity.to_records(), strict=True))


@given(log=st.lists(events, max_size=40), window_days=st.sampled_from([30, 30, 1, 365]))
def test_both_engines_give_the_same_activity(partitions: None, log: list[NewEvent], window_days: int) -> None:
    with stored(log):
        activity = postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=window_days)
        assert records(activity) == by_customer(log, window_days=window_days)


@given(log=st.lists(events, max_size=40))
def test_one_pass_over_everybody_gives_what_reading_some_gives(partitions: None, log: list[NewEvent]) -> None:
    with stored(log):
        register(CUSTOMERS)
        with connection.cursor() as cursor:
            cursor.execute("set local timezone = 'Asia/Kathmandu'")
            postgres.aggregate_into("activity", as_of=AS_OF, window_days=30)
            cursor.execute("select * from activity")
            assert records(postgres.columns(cursor.fetchall())) == by_customer(log)


@given(log=st.lists(events, max_size=20))
def test_a_log_sent_twice_counts_once(partitions: None, log: list[NewEvent]) -> None:
    named = [event for event in log if event.event_id is not None]
    with stored(named):
        assert ingest(named).accepted == 0
        assert records(postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=30)) == by_customer(named)


def test_thirty_days_are_720_hours_though_a_clock_is_put_forward_in_them(partitions: None) -> None:
    log = [new_event(timestamp=moment) for moment in BOUNDARIES]
    with stored(log):
        with connection.cursor() as cursor:
            cursor.execute("set local timezone = 'America/New_York'")
        assert records(postgres.aggregate(["c1"], as_of=AS_OF, window_days=30))["c1"]["page_view"] == 4


def test_nobody_asked_for_is_nobody_answered(partitions: None) -> None:
    assert postgres.aggregate([], as_of=AS_OF, window_days=30).to_records() == []


def test_a_sum_beyond_the_largest_double_is_the_largest_double(partitions: None) -> None:
    log = [new_event(event_type="purchase", timestamp=AS_OF, metadata={"amount": LARGEST}) for _ in range(3)]
    with stored(log):
        assert records(postgres.aggregate(["c1"], as_of=AS_OF, window_days=30))["c1"]["purchase_amount"] == LARGEST
