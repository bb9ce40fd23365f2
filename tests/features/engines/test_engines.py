"""The PostgreSQL engine against the in-process one: the same numbers on the same log, to the last bit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from events.event_types import EVENT_TYPES
from events.ingest import ingest
from events.partitions import make_partitions
from events.validation import NewEvent
from features.engines import in_process, postgres
from features.formulas.activity import LARGEST, Activity
from features.formulas.windowed import WindowedFeature
from features.materialization.locks import register_customers
from tests.factories import make_event_type, new_event

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
WINDOW = timedelta(days=30)
# Types that are not there from the start; one name is longer than a column's may be.
FURTHER_TYPES = ("trial_started", "t" * 64)
ALL_TYPES = (*EVENT_TYPES, *FURTHER_TYPES)
CUSTOMERS = ("c1", "ünïcode-客户-🛒", "c1:behavioral:1.0", "%s{}'\"")
# A log is made of few ids, sessions, categories and moments, so that they repeat.
HOURS = (1, 6, 23, 24, 25, 30 * 24, 31 * 24, 90 * 24)
BOUNDARIES = [
    AS_OF - timedelta(hours=hours, microseconds=tick)
    for hours in (0, 1, 6, 24, 30 * 24, 90 * 24)
    for tick in (-1, 0, 1)
]

moments = st.one_of(
    st.sampled_from(BOUNDARIES),
    st.integers(-26 * 3_600 * 10**6, 0).map(lambda tick: AS_OF + timedelta(microseconds=tick)),
    st.integers(-91 * 86_400 * 10**6, 86_400 * 10**6).map(lambda tick: AS_OF + timedelta(microseconds=tick)),
)
amounts = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, 0.1, 0.2, 19.99, 1e16, 1e308, LARGEST]),
    st.floats(min_value=0, max_value=LARGEST),
    st.integers(0, 2**64 - 1),
)
categories = st.sampled_from(["", " ", "a", "A", "ä", "a\u0308", "💐"])
numbers = st.one_of(
    st.sampled_from([1, 1.0, -0.0, 0, 5e-324, 1e-323, 1e308, -1e308, LARGEST, 2**63 - 1, 2**63 - 2, 2**64 - 1]),
    st.floats(-1e6, 1e6),
    st.integers(-9, 9),
)
anything = st.one_of(
    numbers, st.sampled_from(["", "1", "n1", "a'b%s", "💐", True, False, None, [1], {"a": 1}]), st.text(max_size=3)
).filter(lambda value: value != "\0" and "\0" not in str(value))
metadata = st.fixed_dictionaries(
    {}, optional={"amount": amounts, "category": categories, "k.1-b": anything, "count": numbers, "other": st.none()}
)
events = st.builds(
    new_event,
    customer_id=st.sampled_from(CUSTOMERS),
    event_id=st.one_of(st.none(), st.sampled_from("abc")),
    event_type=st.sampled_from(ALL_TYPES),
    timestamp=moments,
    session_id=st.one_of(st.none(), st.sampled_from(["s1", "s2", " "])),
    metadata=metadata,
)


def windowed(number: int, kind: str, **fields: Any) -> WindowedFeature:
    """Return a valid feature: fields that its kind can't have are left out."""
    if kind == "count":
        fields["metadata_key"] = None
    if kind in ("max", "last", "distinct"):
        fields["half_life_days"] = None
    return WindowedFeature(name=f"w_{number}", kind=kind, **fields)


definitions = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["count", "sum", "mean", "max", "last", "distinct"]),
            "event_type": st.one_of(st.none(), st.sampled_from(ALL_TYPES)),
            "category": st.one_of(st.none(), categories),
            "metadata_key": st.sampled_from(["amount", "category", "k.1-b", "count"]),
            "window_hours": st.one_of(st.sampled_from(HOURS), st.integers(1, 90 * 24)),
            "half_life_days": st.one_of(st.none(), st.sampled_from([5e-324, 0.01, 7.0, 30.0, LARGEST])),
        }
    ),
    max_size=4,
).map(lambda rows: [windowed(number, **row) for number, row in enumerate(rows)])


@contextmanager
def stored(log: list[NewEvent]) -> Iterator[None]:
    """Store the log in PostgreSQL until the end of the block."""
    with transaction.atomic():
        ingest(log)
        yield
        transaction.set_rollback(True)


@pytest.fixture
def partitions(db: None) -> None:
    make_partitions(AS_OF - 4 * WINDOW, until=AS_OF + WINDOW)
    for name in FURTHER_TYPES:
        make_event_type(name)


def in_process_of(
    log: list[NewEvent], customer_id: str, *, window_days: int = 30, features: Sequence[WindowedFeature] = ()
) -> Activity:
    """Return the in-process engine's activity of the log. Of events with one id and timestamp, the first counts."""
    events = [event for event in in_process.distinct(log) if event.customer_id == customer_id]
    return in_process.aggregate(
        events, customer_id=customer_id, as_of=AS_OF, window_days=window_days, features=features
    )


def by_customer(log: list[NewEvent], *, window_days: int = 30) -> dict[str, dict[str, Any]]:
    return {
        customer_id: in_process_of(log, customer_id, window_days=window_days).to_records()[0]
        for customer_id in CUSTOMERS
    }


def records(activity: Activity) -> dict[str, dict[str, Any]]:
    return dict(zip(activity.customer_ids, activity.to_records(), strict=True))


def windows(activity: Activity) -> dict[tuple[str, str], tuple[float, int, int]]:
    """Return (customer, feature) → its value and moments."""
    return {
        (customer_id, name): (float(column.value[row]), int(column.first_us[row]), int(column.last_us[row]))
        for row, customer_id in enumerate(activity.customer_ids)
        for name, column in activity.windowed.items()
    }


def assert_windows(activity: Activity, *, log: list[NewEvent], features: Sequence[WindowedFeature]) -> None:
    """Assert that the windowed values are those of the in-process engine.

    Sums may differ by 1e-9 of the sum of the absolute values of their parts.
    """
    positive = [msgspec.structs.replace(event, metadata=sizes(event.metadata)) for event in log]
    ours = windows(activity)
    assert set(ours) == {(customer_id, feature.name) for customer_id in CUSTOMERS for feature in features}
    for customer_id in CUSTOMERS:
        theirs = windows(in_process_of(log, customer_id, features=features))
        largest = windows(in_process_of(positive, customer_id, features=features))
        for feature in features:
            key = customer_id, feature.name
            is_added_up = feature.kind in ("sum", "mean") or feature.half_life_days is not None
            tolerance = 1e-9 * largest[key][0] if is_added_up else 0.0
            assert ours[key][0] == pytest.approx(theirs[key][0], rel=0, abs=tolerance), (key, feature)
            assert ours[key][1:] == theirs[key][1:], (key, feature)


def sizes(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: abs(value) if type(value) in (int, float) else value for key, value in metadata.items()}


@given(log=st.lists(events, max_size=40), window_days=st.sampled_from([30, 30, 1, 365]))
def test_both_engines_give_the_same_activity(partitions: None, log: list[NewEvent], window_days: int) -> None:
    with stored(log):
        activity = postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=window_days)
        assert records(activity) == by_customer(log, window_days=window_days)


@given(log=st.lists(events, max_size=40))
def test_one_pass_over_everybody_gives_what_reading_some_gives(partitions: None, log: list[NewEvent]) -> None:
    with stored(log):
        register_customers(CUSTOMERS)
        with connection.cursor() as cursor:
            cursor.execute("set local timezone = 'Asia/Kathmandu'")
            postgres.aggregate_into("activity", as_of=AS_OF, window_days=30)
            cursor.execute("select * from activity")
            assert records(postgres.columns(cursor.fetchall())) == by_customer(log)


@given(log=st.lists(events, max_size=40), features=definitions)
def test_both_engines_give_the_same_windowed_features(
    partitions: None, log: list[NewEvent], features: list[WindowedFeature]
) -> None:
    with stored(log):
        activity = postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=30, features=features)
        assert_windows(activity, log=log, features=features)
        assert records(activity) == by_customer(log)


@given(log=st.lists(events, max_size=40), features=definitions)
def test_one_pass_over_everybody_gives_the_same_windowed_features(
    partitions: None, log: list[NewEvent], features: list[WindowedFeature]
) -> None:
    with stored(log):
        register_customers(CUSTOMERS)
        postgres.aggregate_into("activity", as_of=AS_OF, window_days=30, features=features)
        with connection.cursor() as cursor:
            cursor.execute("select * from activity")
            activity = postgres.columns(cursor.fetchall())
        assert_windows(activity, log=log, features=features)
        assert records(activity) == by_customer(log)


@given(log=st.lists(events, max_size=20))
def test_a_log_sent_twice_counts_once(partitions: None, log: list[NewEvent]) -> None:
    named = [event for event in log if event.event_id is not None]
    with stored(named):
        assert ingest(named).accepted == 0
        assert records(postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=30)) == by_customer(named)


def test_thirty_days_are_720_hours_though_a_clock_is_put_forward_in_them(partitions: None) -> None:
    edges = (30 * 24, 8 * 24, 1)
    log = [new_event(timestamp=AS_OF - timedelta(hours=hours, microseconds=tick)) for hours in edges for tick in (0, 1)]
    features = [WindowedFeature(name=f"n_{hours}h", kind="count", window_hours=hours) for hours in edges]
    with stored(log):
        with connection.cursor() as cursor:
            cursor.execute("set local timezone = 'America/New_York'")
        activity = postgres.aggregate(["c1"], as_of=AS_OF, window_days=30, features=features)
    assert records(activity)["c1"]["page_view"] == 5
    assert {name: value for (_, name), (value, *_) in windows(activity).items()} == {
        "n_720h": 5,
        "n_192h": 3,
        "n_1h": 1,
    }


def test_nobody_asked_for_is_nobody_answered(partitions: None) -> None:
    assert postgres.aggregate([], as_of=AS_OF, window_days=30).to_records() == []


def test_a_sum_beyond_the_largest_double_is_the_largest_double(partitions: None) -> None:
    log = [new_event(event_type="purchase", timestamp=AS_OF, metadata={"amount": LARGEST}) for _ in range(3)]
    with stored(log):
        assert records(postgres.aggregate(["c1"], as_of=AS_OF, window_days=30))["c1"]["purchase_amount"] == LARGEST


def test_what_operators_type_is_no_part_of_the_statement(partitions: None) -> None:
    name, key, category = 'it\'s \\ "%s" {} :x', "k'\"%s\\", "'; drop table events_event; -- %(as_of)s"
    log = [new_event(timestamp=AS_OF, metadata={key: 2, "category": category}), new_event(timestamp=AS_OF)]
    feature = WindowedFeature(name=name, kind="sum", metadata_key=key, category=category, window_hours=1)
    with stored(log):
        assert windows(postgres.aggregate(["c1"], as_of=AS_OF, window_days=30, features=[feature]))["c1", name][0] == 2


def test_no_number_of_a_customer_stops_the_computation_of_the_others(partitions: None) -> None:
    """PostgreSQL refuses to convert to a double a number that is closer to zero than every double but zero."""
    log = [new_event(timestamp=AS_OF, metadata={"k": number}) for number in (5e-324, 0, 0, 1.24e-322, -1.2e-322)]
    features = [WindowedFeature(name=kind, kind=kind, metadata_key="k", window_hours=1) for kind in ("mean", "sum")]
    with stored(log):
        asked = postgres.aggregate(CUSTOMERS, as_of=AS_OF, window_days=30, features=features)
        assert_windows(asked, log=log, features=features)


def test_a_customer_whose_only_events_are_older_than_window_days_has_windowed_values(partitions: None) -> None:
    log = [new_event(timestamp=AS_OF - timedelta(days=40))]
    features = [WindowedFeature(name="n", kind="count", window_hours=90 * 24)]
    with stored(log):
        register_customers(CUSTOMERS)
        postgres.aggregate_into("activity", as_of=AS_OF, window_days=30, features=features)
        with connection.cursor() as cursor:
            cursor.execute("select * from activity")
            activity = postgres.columns(cursor.fetchall())
    assert_windows(activity, log=log, features=features)
    assert records(activity)["c1"]["page_view"] == 0
    assert windows(activity)["c1", "n"][0] == 1


@pytest.mark.parametrize("number", [50, 51, 101, 300])
def test_many_windowed_features_are_aggregated_as_each_of_them_alone(partitions: None, number: int) -> None:
    kinds = [windowed(place, "sum", metadata_key="count", window_hours=1 + 7 * place) for place in range(number)]
    log = [
        new_event(customer_id="c1", timestamp=AS_OF - timedelta(days=age), metadata={"count": age}) for age in range(60)
    ]
    with stored(log):
        aggregated = postgres.aggregate(["c1", "c2"], as_of=AS_OF, window_days=30, features=kinds)
    values = {
        name: dict(zip(aggregated.customer_ids, column.value.tolist(), strict=True))
        for name, column in aggregated.windowed.items()
    }
    expected = in_process_of(log, "c1", features=kinds).windowed
    assert list(values) == [feature.name for feature in kinds]
    assert {name: of["c1"] for name, of in values.items()} == {name: c.value[0] for name, c in expected.items()}
    assert {of["c2"] for of in values.values()} == {0.0}
