"""Frames of pandas, polars and pyarrow: training sets, conversions and bulk values."""

from datetime import UTC, datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest
from conftest import Target
from featurehub_client import FeatureHub, NotFoundError, frames

LIBRARIES = ("pandas", "polars", "pyarrow")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Return the library of frames."""
    module: ModuleType = pytest.importorskip(request.param)
    return module


def frame_of(library: ModuleType, columns: dict[str, list[Any]]) -> Any:
    return library.table(columns) if library.__name__ == "pyarrow" else library.DataFrame(columns)


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """Return the rows as objects, with None for NaN and null."""
    name = type(frame).__module__.partition(".")[0]
    if name == "pandas":
        rows: list[dict[str, Any]] = frame.to_dict("records")
        return [{key: None if value != value else value for key, value in row.items()} for row in rows]
    return list(frame.to_dicts() if name == "polars" else frame.to_pylist())


def moment_of(days: float) -> datetime:
    return datetime(2026, 1, 10, 12, 0, 0, 123456, tzinfo=UTC) + timedelta(days=days)


def write_days(hub: FeatureHub, customer_id: str) -> None:
    for day in (1, 2):
        hub.set_customer_features(
            customer_id, {"cart_value": 10.0 * day}, feature_type="contextual", timestamp=moment_of(day)
        )


def test_a_training_set_has_the_values_of_each_moment_beside_the_labels(
    target: Target, customer_id: str, library: ModuleType
) -> None:
    asked = {"customer_id": [customer_id] * 3, "timestamp": [moment_of(2), moment_of(0), moment_of(1.5)]}
    with target.client() as hub:
        write_days(hub, customer_id)
        frame = hub.get_training_set(frame_of(library, {**asked, "label": [1, 0, 1]}), ["cart_value", "items_in_cart"])
    assert type(frame).__module__.partition(".")[0] == library.__name__
    assert [(row["label"], row["cart_value"], row["items_in_cart"]) for row in rows_of(frame)] == [
        (1, 20.0, None), (0, None, None), (1, 10.0, None)
    ]  # fmt: skip


def test_a_pandas_frame_keeps_its_index(target: Target, customer_id: str) -> None:
    pandas = pytest.importorskip("pandas")
    asked = {"customer_id": [customer_id] * 2, "timestamp": [moment_of(2), moment_of(1)]}
    with target.client() as hub:
        write_days(hub, customer_id)
        frame = hub.get_training_set(pandas.DataFrame(asked, index=[7, 3]), ["cart_value"])
    assert frame["cart_value"].to_dict() == {7: 20.0, 3: 10.0}


def test_moments_of_another_offset_are_the_same(target: Target, customer_id: str, library: ModuleType) -> None:
    elsewhere = moment_of(1).astimezone(timezone(timedelta(hours=-5)))
    asked = {"customer_id": [customer_id], "timestamp": [elsewhere]}
    with target.client() as hub:
        write_days(hub, customer_id)
        frame = hub.get_training_set(frame_of(library, asked), ["cart_value"])
    assert [row["cart_value"] for row in rows_of(frame)] == [10.0]


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), None], ids=["without an offset", "null"])  # noqa: DTZ001
def test_a_moment_that_is_none_is_refused(featurehub: FeatureHub, library: ModuleType, moment: datetime | None) -> None:
    frame = frame_of(library, {"customer_id": ["c1", "c2"], "timestamp": [moment, moment]})
    with pytest.raises(ValueError, match="Row 0 of the frame has"):
        featurehub.get_training_set(frame, ["cart_value"])


def test_a_frame_without_a_column_is_refused(featurehub: FeatureHub, library: ModuleType) -> None:
    frame = frame_of(library, {"customer": ["c1"], "timestamp": [moment_of(0)]})
    with pytest.raises(ValueError, match="The frame has no column customer_id"):
        featurehub.get_training_set(frame, ["cart_value"])


def test_what_is_no_frame_is_refused(featurehub: FeatureHub) -> None:
    with pytest.raises(TypeError, match="A frame is one of pandas, polars, pyarrow, not list"):
        featurehub.get_training_set([], ["cart_value"])


def test_bulk_values_are_written_from_a_frame(target: Target, customer_id: str, library: ModuleType) -> None:
    ids = [f"{customer_id}-{number}" for number in range(3)]
    frame = frame_of(
        library,
        {
            "customer_id": ids,
            "timestamp": [moment_of(1)] * 3,
            "cart_value": [1.5, None, None],
            "items_in_cart": [1, 2, None],
        },
    )
    with target.client() as hub:
        written = hub.set_features_of_frame(frame, feature_type="contextual")
        assert (written.accepted, written.appended) == (2, 2)
        values = hub.get_features_of_customers(ids, ["cart_value", "items_in_cart"])
        assert [each.present() for each in values] == [
            {"cart_value": 1.5, "items_in_cart": 1.0}, {"items_in_cart": 2.0}, {}
        ]  # fmt: skip
        [row] = hub.get_feature_history(ids[0], "cart_value").results
        assert row.timestamp == moment_of(1)


def test_values_become_a_frame(target: Target, customer_id: str, library: ModuleType) -> None:
    convert = {"pandas": frames.to_pandas, "polars": frames.to_polars, "pyarrow": frames.to_arrow}[library.__name__]
    with target.client() as hub:
        write_days(hub, customer_id)
        values = hub.get_features_of_customers([customer_id, f"{customer_id}-2"], ["cart_value", "nothing"])
        rows = rows_of(convert(values))
        assert [list(row) for row in rows] == [["customer_id", "computed_at", "cart_value", "nothing"]] * 2
        assert [(row["customer_id"], row["cart_value"], row["nothing"]) for row in rows] == [
            (customer_id, 20.0, None), (f"{customer_id}-2", None, None)
        ]  # fmt: skip
        held = hub.get_features_as_of([(customer_id, moment_of(1))], ["cart_value"])
        [row] = rows_of(convert(held))
        assert (row["timestamp"], row["cart_value"]) == (moment_of(1), 10.0)
        history = rows_of(convert(hub.iterate_feature_history(customer_id, "cart_value")))
        assert [(row["timestamp"], row["cart_value"]) for row in history] == [
            (moment_of(2), 20.0), (moment_of(1), 10.0)
        ]  # fmt: skip


def test_no_rows_are_a_frame_without_rows(library: ModuleType) -> None:
    convert = {"pandas": frames.to_pandas, "polars": frames.to_polars, "pyarrow": frames.to_arrow}[library.__name__]
    assert rows_of(convert([])) == []


def test_an_error_of_the_api_is_raised(target: Target, library: ModuleType) -> None:
    frame = frame_of(library, {"customer_id": ["c1"], "timestamp": [moment_of(1)]})
    with target.client() as hub, pytest.raises(NotFoundError, match=r"There is no readable version behavioral:9\.9"):
        hub.get_training_set(frame, ["cart_value"], versions=["behavioral:9.9"])
