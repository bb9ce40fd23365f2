"""Training sets without a file: customers × moments, and labels from events, against a model in plain Python."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from events.models import Event
from events.registered_types import event_types
from events.registration import archive_event_type
from featurehub.lib.errors import InvalidError, UnknownError
from features.lifecycle.feature_sets import make_feature_set
from features.materialization import recompute
from features.models import CustomerFeature
from features.offline import entity_rows
from features.offline.entity_rows import EntityRows, parse_entity_rows
from features.offline.event_training_set import training_table
from features.serving.feature_store import FeatureStore
from tests.factories import (
    ago,
    forget_registry,
    make_event,
    make_event_type,
    make_purchase,
    make_version,
    store_events,
)  # fmt: skip

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
WINDOW = timedelta(days=30)
LAST_MICROSECOND = timedelta(microseconds=1)
Row = tuple[str, datetime, int | None]
Happened = tuple[str, str, datetime]  # customer, type, moment
store = FeatureStore()


def at(**after: float) -> datetime:
    """Return the moment so long after MONDAY."""
    return MONDAY + timedelta(**after)


def described(**changed: Any) -> EntityRows:
    """Return one moment, MONDAY, of active customers, unless `changed` says otherwise."""
    return parse_entity_rows(
        **{
            "since": MONDAY, "until": MONDAY, "every": "7d", "customers": "active", "label": None, "now": NOW,
            **changed,
        }
    )  # fmt: skip


def built(rows: EntityRows) -> list[Row]:
    """Return customer, moment and label of each row that is made; None where there is no label."""
    table = training_table(rows, names=["cart_value"]).to_pydict()
    labels = table.get("label", [None] * len(table["customer_id"]))
    return list(zip(table["customer_id"], table["timestamp"], labels, strict=True))


def customers_of(rows: EntityRows) -> list[str]:
    return [customer_id for customer_id, _, _ in built(rows)]


def build(folder: Path, **options: Any) -> tuple[dict[str, list[Any]], str]:
    """Return the columns of the set that the command builds, and what it says."""
    said, out = StringIO(), folder / "set.parquet"
    given = {"since": MONDAY.isoformat(), "until": MONDAY.isoformat(), "every": "7d", **options}
    call_command("build_training_set", out=out, verbosity=0, stdout=said, **given)
    table: dict[str, list[Any]] = pq.read_table(out).to_pydict()
    return table, said.getvalue()


# --- Which rows there are ---------------------------------------------------------------------------------------------


def test_the_moments_are_every_so_long_from_the_first_to_the_last(db: None) -> None:
    store_events(make_event(customer_id="c1", timestamp=MONDAY))
    rows = built(described(until=at(days=22), every="7d"))
    assert rows == [("c1", at(days=7 * week), None) for week in range(4)]
    assert [moment for _, moment, _ in built(described(until=at(hours=11), every="6h"))] == [MONDAY, at(hours=6)]


def test_a_customer_is_active_by_an_event_in_the_window_that_ends_with_the_moment(db: None) -> None:
    store_events(
        make_event(customer_id="too_old", timestamp=MONDAY - WINDOW - LAST_MICROSECOND),
        make_event(customer_id="oldest", timestamp=MONDAY - WINDOW),
        make_event(customer_id="newest", timestamp=MONDAY),
        make_event(customer_id="too_new", timestamp=MONDAY + LAST_MICROSECOND),
    )
    assert customers_of(described()) == ["newest", "oldest"]


def test_all_customers_are_those_with_any_event_before_the_moment(db: None) -> None:
    store_events(
        make_event(customer_id="long_ago", timestamp=datetime(2001, 1, 1, tzinfo=UTC)),
        make_event(customer_id="now", timestamp=MONDAY),
        make_event(customer_id="later", timestamp=MONDAY + LAST_MICROSECOND),
    )
    assert customers_of(described(customers="all")) == ["long_ago", "now"]
    rows = built(described(customers="all", until=at(days=1), every="1d"))
    assert [row[:2] for row in rows if row[0] == "later"] == [("later", at(days=1))]


def test_the_window_of_active_customers_is_that_of_the_setting(db: None, settings: Settings) -> None:
    settings.WINDOW_DAYS = 10
    store_events(make_event(timestamp=MONDAY - timedelta(days=11)))
    assert customers_of(described()) == []


def test_a_row_has_the_values_that_held_at_its_moment_and_never_later_ones(db: None) -> None:
    store_events(make_purchase(timestamp=MONDAY, amount=25.0), make_purchase(timestamp=at(days=1), amount=5.0))
    for moment in (MONDAY, at(days=1)):
        recompute.recompute_customers(customer_ids=["c1"], as_of=moment)
    table = training_table(described(until=at(days=2), every="12h"), names=["purchase_amount_30d", "cart_value"])
    assert table["purchase_amount_30d"].to_pylist() == [25.0, 25.0, 30.0, 30.0, 30.0]
    assert table["cart_value"].to_pylist() == [None] * 5


def test_without_any_event_the_set_has_its_columns_and_no_row(db: None, tmp_path: Path) -> None:
    table, said = build(tmp_path, names="cart_value", label="purchase within 14d")
    assert table == {"customer_id": [], "timestamp": [], "label": [], "cart_value": []}
    assert said == f"0 rows were written to {tmp_path / 'set.parquet'}\n"


# --- Labels from events -----------------------------------------------------------------------------------------------


def test_a_label_is_1_by_an_event_after_the_moment_and_not_later_than_the_horizon(db: None) -> None:
    bought = {
        "at_the_moment": MONDAY,
        "first": MONDAY + LAST_MICROSECOND,
        "last": at(days=14),
        "too_late": at(days=14) + LAST_MICROSECOND,
    }
    for customer_id, moment in bought.items():
        store_events(
            make_event(customer_id=customer_id, timestamp=MONDAY),
            make_purchase(customer_id=customer_id, timestamp=moment),
        )
    store_events(make_event(customer_id="another_type", timestamp=MONDAY))
    store_events(make_event(customer_id="another_type", timestamp=at(days=1), event_type="login"))
    rows = built(described(label="purchase within 14d"))
    assert {customer_id: label for customer_id, _, label in rows} == {
        "another_type": 0, "at_the_moment": 0, "first": 1, "last": 1, "too_late": 0,
    }  # fmt: skip


def test_any_registered_type_labels(db: None) -> None:
    make_event_type("trial_started")
    store_events(make_event(timestamp=MONDAY), make_event(timestamp=at(hours=1), event_type="trial_started"))
    assert built(described(label="trial_started within 1h")) == [("c1", MONDAY, 1)]


def test_rows_whose_horizon_is_not_over_are_left_out_and_counted(db: None, tmp_path: Path) -> None:
    day = ago(days=6).replace(hour=0, minute=0, second=0, microsecond=0)
    store_events(*(make_event(customer_id=name, timestamp=day) for name in ("c1", "c2")))
    options = {"since": day.isoformat(), "until": (day + timedelta(days=4)).isoformat(), "every": "2d"}
    table, said = build(tmp_path, names="cart_value", label="purchase within 3d", **options)
    assert table["timestamp"] == [day, day + timedelta(days=2)] * 2
    assert said.splitlines() == [
        f"4 rows were written to {tmp_path / 'set.parquet'}",
        "2 rows were left out, because 'purchase within 3d' is not over for them yet.",
    ]
    metadata = pq.read_schema(tmp_path / "set.parquet").metadata
    assert (metadata[b"featurehub.label"], metadata[b"featurehub.left_out"]) == (b"purchase within 3d", b"2")


def test_a_horizon_that_ends_now_is_over(db: None) -> None:
    store_events(make_event(timestamp=MONDAY))
    label = "purchase within 2d"
    assert len(built(described(label=label, now=at(days=2)))) == 1
    assert built(described(label=label, now=at(days=2) - LAST_MICROSECOND)) == []


def happened(customer_id: str, event_type: str, step: int, shift: int) -> Happened:
    return customer_id, event_type, MONDAY + timedelta(hours=6 * step, microseconds=shift)


events_of_few = st.lists(
    st.builds(
        happened,
        st.sampled_from(["c1", "c2", "c3"]),
        st.sampled_from(["page_view", "purchase"]),
        st.integers(-16, 40),
        st.sampled_from([-1, 0, 1]),
    ),
    max_size=12,
)


def model_rows(rows: EntityRows, events: Sequence[Happened], *, window: timedelta) -> tuple[list[Row], int]:
    """Return the rows with their labels, and the number of those left out: event by event, moment by moment."""
    kept: list[Row] = []
    left_out = 0
    for customer_id in sorted({customer_id for customer_id, _, _ in events}):
        own = [(event_type, moment) for who, event_type, moment in events if who == customer_id]
        moment = rows.since
        while moment <= rows.until:
            before = [e for _, e in own if e <= moment and (rows.customers == "all" or e >= moment - window)]
            if before and (rows.label is None or moment + rows.label.within <= rows.now):
                kept.append((customer_id, moment, label_of(rows, own=own, moment=moment)))
            elif before:
                left_out += 1
            moment += rows.every
    return kept, left_out


def label_of(rows: EntityRows, *, own: Sequence[tuple[str, datetime]], moment: datetime) -> int | None:
    if rows.label is None:
        return None
    return int(any(name == rows.label.event_type and moment < e <= moment + rows.label.within for name, e in own))


@given(
    events=events_of_few,
    every=st.sampled_from(["6h", "7h", "1d", "3d"]),
    customers=st.sampled_from(["active", "all"]),
    label=st.sampled_from([None, "purchase within 6h", "purchase within 1d", "purchase within 5d"]),
    window_days=st.integers(1, 4),
    now=st.integers(28, 60),
)
def test_rows_and_labels_are_those_of_a_model_in_plain_python(
    db: None, settings: Settings, events: list[Happened], every: str, customers: str, label: str | None,
    window_days: int, now: int,
) -> None:  # fmt: skip
    settings.WINDOW_DAYS = window_days
    Event.objects.all().delete()
    store_events(*(make_event(customer_id=who, event_type=name, timestamp=moment) for who, name, moment in events))
    rows = described(every=every, customers=customers, label=label, now=at(hours=6 * now), until=at(hours=6 * 28 - 1))
    kept, left_out = model_rows(rows, events, window=timedelta(days=window_days))
    assert built(rows) == kept
    metadata = training_table(rows, names=["cart_value"]).schema.metadata or {}
    assert int(metadata.get(b"featurehub.left_out", 0)) == left_out


# --- By a feature set, and from Python --------------------------------------------------------------------------------


def test_a_set_gives_the_columns_and_the_file_says_which_set_and_label_it_is_of(db: None, tmp_path: Path) -> None:
    store_events(make_purchase(timestamp=MONDAY))
    recompute.recompute_customers(customer_ids=["c1"], as_of=MONDAY)
    make_feature_set("churn_model", names=["purchases_30d", "cart_value"])
    forget_registry()
    out = tmp_path / "set.parquet"
    table, said = build(tmp_path, feature_set="churn_model:1", label="purchase within 14d")
    assert list(table) == ["customer_id", "timestamp", "label", "purchases_30d", "cart_value"]
    assert table["purchases_30d"] == [1.0]
    assert said == f"1 rows were written to {out}, of churn_model:1: behavioral:1.0, contextual:1.0\n"
    metadata = pq.read_schema(out).metadata
    assert metadata[b"featurehub.set"] == b"churn_model:1"
    assert metadata[b"featurehub.versions"] == b"behavioral:1.0,contextual:1.0"


def test_the_call_from_python_gives_what_the_command_writes(db: None, tmp_path: Path) -> None:
    store_events(make_purchase(timestamp=MONDAY), make_purchase(timestamp=at(days=3)), make_event(customer_id="c2"))
    recompute.recompute_customers(customer_ids=["c1"], as_of=MONDAY)
    until, label = at(days=7), "purchase within 7d"
    build(tmp_path, until=until.isoformat(), every="1d", label=label)
    table = store.get_training_set(since=MONDAY, until=until, every="1d", label=label)
    assert isinstance(table, pa.Table)
    assert table.equals(pq.read_table(tmp_path / "set.parquet"), check_metadata=True)
    assert table["label"].to_pylist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert str(table.schema.field("label").type) == "int8"


def test_a_table_says_how_many_rows_are_before_its_versions_values(db: None) -> None:
    store_events(make_event(timestamp=MONDAY))
    make_version("behavioral", "2.0", state="shadow")
    table = store.get_training_set(
        ["purchases_30d"], since=MONDAY, until=at(days=1), every="1d", versions=["behavioral:2.0"]
    )
    assert table.schema.metadata[b"featurehub.not_computed"] == b"behavioral:2.0: 2"


def test_what_was_recorded_later_is_not_known(db: None) -> None:
    store_events(make_event(timestamp=MONDAY))
    CustomerFeature.objects.create(
        customer_id="c1", feature_type="contextual", version="1.0", timestamp=MONDAY, features={"cart_value": 2.0}
    )
    table = store.get_training_set(["cart_value"], since=MONDAY, until=MONDAY, every="1d", known_at=MONDAY)
    assert table["cart_value"].to_pylist() == [None]


# --- Wrong input, before any work -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "attr", "sentence"),
    [
        ({"every": "0h"}, "every", "'0h' is no length of time from 1h to 365d, such as 6h or 14d."),
        ({"every": "366d"}, "every", "'366d' is no length of time"),
        ({"every": "a week"}, "every", "'a week' is no length of time"),
        ({"label": "purchase within 0d"}, "label", "'0d' is no length of time"),
        ({"label": "purchase within 366d"}, "label", "'366d' is no length of time"),
        ({"label": "purchase"}, "label", "A label is an event type and a horizon, such as 'purchase within 14d'."),
        ({"label": "purchse within 14d"}, "label", "No event type 'purchse' is registered. There are page_view,"),
        ({"label": "wishes within 14d"}, "label", "The event type wishes is archived"),
        ({"until": at(days=-1)}, "until", "The last moment, until, is before the first, since."),
        ({"until": NOW + timedelta(seconds=1)}, "until", "The last moment, until, is in the future"),
        ({"since": datetime(1969, 1, 1, tzinfo=UTC)}, "since", "A moment is one from 1970 to 9999 in UTC."),
        ({"since": datetime(2026, 3, 1)}, "since", "2026-03-01T00:00:00 has no offset"),  # noqa: DTZ001
        ({"customers": "some"}, "customers", "Customers are active or all, not 'some'."),
    ],
)
def test_rows_that_can_not_be_are_one_sentence(db: None, changed: dict[str, Any], attr: str, sentence: str) -> None:
    make_event_type("wishes")
    archive_event_type("wishes")
    event_types.forget()
    with pytest.raises(InvalidError) as refused:
        described(**changed)
    assert refused.value.detail.startswith(sentence)
    assert refused.value.attr == attr


def test_moments_whose_events_are_dropped_are_refused(db: None, settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 90
    first = NOW - timedelta(days=60)
    assert customers_of(described(since=first, until=first)) == []
    with pytest.raises(InvalidError, match=r"Events are kept for 90 days.* since is 2026-04-02T00:00:00Z or later"):
        described(since=first - LAST_MICROSECOND, until=first)
    assert described(since=NOW - timedelta(days=90), until=NOW, customers="all").last == NOW - timedelta(days=6)


def test_too_many_rows_are_refused_with_their_number_before_they_are_made(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entity_rows, "MOST_ROWS", 7)
    store_events(*(make_event(customer_id=name, timestamp=MONDAY) for name in ("c1", "c2")))
    options = {"until": at(days=3).isoformat(), "every": "1d"}
    with pytest.raises(CommandError, match="These are 8 rows, and a training set has at most 7: take fewer moments"):
        build(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(entity_rows, "MOST_ROWS", 8)
    assert len(build(tmp_path, names="cart_value", **options)[0]["customer_id"]) == 8


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ([], {}, "Without a file of labels, --every, --since and --until must be given."),
        ([], {"every": "7d", "since": "2026-03-02T00:00:00Z"}, "Without a file of labels, --until must be given."),
        (["labels.csv"], {"every": "7d"}, "A file of labels has its own rows: leave out --every."),
        (["labels.csv"], {"label": "purchase within 14d"}, "A file of labels has its own rows: leave out --label."),
        (
            [],
            {"every": "7d", "since": "2026-03-02", "until": "2026-03-02T00:00:00Z"},
            "'2026-03-02' is not an ISO 8601 moment with an offset, such as 2026-01-31T12:00:00Z.",
        ),
    ],
)
def test_a_file_or_moments_and_not_both(
    db: None, tmp_path: Path, arguments: list[str], options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("build_training_set", *arguments, out=tmp_path / "set.parquet", verbosity=0, **options)
    assert str(refused.value) == sentence


def test_a_feature_with_the_name_of_a_column_is_refused(db: None) -> None:
    make_version("contextual", "2.0", state="shadow", label={})
    with pytest.raises(InvalidError, match="a column label, which is also the name of a feature"):
        training_table(described(label="purchase within 14d"), versions=["contextual:2.0"])


def test_an_unknown_set_is_refused(db: None) -> None:
    with pytest.raises(UnknownError, match="There is no feature set churn_model:9"):
        store.get_training_set(since=MONDAY, until=MONDAY, every="1d", feature_set="churn_model:9")


def test_the_steps_show_their_progress(db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_events(make_event(timestamp=MONDAY))
    out = tmp_path / "set.parquet"
    moments = ["--every=7d", f"--since={MONDAY.isoformat()}", f"--until={MONDAY.isoformat()}"]
    call_command("build_training_set", f"--out={out}", *moments, "--customers=active", "--names=cart_value")
    shown = capsys.readouterr()
    assert all(f"{step}: " in shown.err for step in ("Reading", "Joining"))
    assert shown.out == f"1 rows were written to {out}\n"
