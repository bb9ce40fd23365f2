"""Events copied into PostgreSQL as text are read back as they were sent, with any characters."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from events.ingest import ingest
from events.models import Event
from events.validation import NewEvent, check_event
from featurehub.lib.errors import InvalidError
from tests.factories import ago, new_event

numbers = count(1)
storable = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
text = st.one_of(
    st.text(storable, min_size=1, max_size=20),
    st.sampled_from(
        [r"\N", r"\.", "\\", "\t", "\n", "\r\n", "a\tb\\tc", "NULL", r"\u0000", r"\\u0000", '"', " ", "\x0b"]
    ),
)
customer_ids = text.filter(lambda value: value.isprintable() and " " not in value and "/" not in value)
json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(-1e15, 1e15), text),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(text, part, max_size=3),
    max_leaves=6,
)
metadata = st.builds(
    lambda known, other: {**other, **known},
    st.fixed_dictionaries({}, optional={"amount": st.floats(0, 1e15) | st.integers(0, 10**15), "category": text}),
    st.dictionaries(text.filter(lambda key: key not in ("amount", "category")), json, max_size=3),
)


@given(
    event_id=text,
    customer_id=customer_ids,
    event_type=st.sampled_from(EVENT_TYPES),
    timestamp=st.datetimes(datetime(1990, 1, 1), datetime(1990, 3, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    session_id=st.none() | text,
    metadata=metadata,
)
def test_an_event_is_read_back_as_it_was_sent(db: None, **fields: Any) -> None:
    event = NewEvent(**fields)
    check_event(event, now=datetime.now(UTC))
    Event.objects.all().delete()
    ingest([event])
    stored = Event.objects.get()
    for name in ("event_id", "customer_id", "event_type", "timestamp", "session_id", "category"):
        assert getattr(stored, name) == getattr(event, name)
    assert stored.amount == event.amount
    assert stored.metadata == event.metadata


@pytest.mark.parametrize("amount", [0, 1e300, 5e-324, 2**64 - 1, 0.1, 1.7976931348623157e308])
def test_any_finite_amount_is_kept_to_the_last_bit(db: None, amount: float) -> None:
    ingest([new_event(metadata={"amount": amount})])
    assert Event.objects.get().amount == float(amount)


def test_many_events_are_copied_in_several_blocks(db: None) -> None:
    events = [new_event(event_id=f"many-{number}") for number in range(2_500)]
    assert ingest(events).accepted == 2_500
    assert Event.objects.count() == 2_500


def test_an_event_without_an_id_gets_one_and_counts_again(db: None) -> None:
    event = new_event(event_id=None)
    assert ingest([event, event]).accepted == 2
    assert ingest([event]).accepted == 1


@pytest.mark.parametrize("offset", ["+00:00", "Z", "+05:30", "-11:00"])
def test_an_offset_is_kept_as_the_same_moment(db: None, offset: str) -> None:
    event = msgspec.convert(
        {"customer_id": "c1", "event_type": "login", "timestamp": f"2026-01-02T03:04:05.678901{offset}"}, NewEvent
    )
    ingest([event])
    assert Event.objects.get().timestamp == event.timestamp


@pytest.mark.parametrize(
    ("fields", "attr"),
    [
        ({"event_id": "a\x00b"}, "event_id"),
        ({"session_id": "a\ud800"}, "session_id"),
        ({"metadata": {"a": "\x00"}}, "metadata"),
        ({"metadata": {"a": [{"\x00": 1}]}}, "metadata"),
        ({"metadata": {"a": "\ud800"}}, "metadata"),
        ({"metadata": {"amount": 10**400}}, "metadata.amount"),
        ({"metadata": {"amount": float("nan")}}, "metadata.amount"),
        ({"metadata": {"amount": float("inf")}}, "metadata.amount"),
        ({"metadata": {"amount": -1e-300}}, "metadata.amount"),
        ({"metadata": {"amount": True}}, "metadata.amount"),
        ({"metadata": {"a": "x" * 8192}}, "metadata"),
        ({"metadata": {"a": 10**5000}}, "metadata"),
    ],
)
def test_what_postgresql_cannot_hold_is_refused_before_it(db: None, fields: dict[str, Any], attr: str) -> None:
    event = NewEvent(**{"customer_id": "c1", "event_type": "login", "timestamp": ago(days=1), **fields})
    with pytest.raises(InvalidError) as caught:
        check_event(event, now=datetime.now(UTC))
    assert caught.value.attr == attr
