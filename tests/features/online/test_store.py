"""The online store: the layout of the contract's section 4, and compare-and-set of computations in any order."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from math import ceil
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pytest
import redis
from django_redis import get_redis_connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from featurehub.lib.clock import EPOCH, microseconds
from features.formulas.activity import LARGEST
from features.formulas.values import Columns
from features.online import layout, store
from features.online.publish import texts_of
from features.online.store import REMOVED, UNCHANGED, PublishedHashes, PublishedVersion
from tests.factories import cached
from tests.redis_commands import redis_commands
from tests.reference import parse_stamp

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
STAMP = "01773576000000000 0000000000000000007 1.0"
stamps = st.tuples(st.timedeltas(timedelta(0), timedelta(days=365 * 1000)), st.integers(0, 2**63 - 1))


def published(
    *,
    feature_type: str = "behavioral",
    version: str = "1.0",
    as_of: datetime = NOON,
    row: int = 7,
    features: Mapping[str, float] = MappingProxyType({"engagement_score": 0.5}),
    metadata: Mapping[str, Any] = MappingProxyType({}),
    without: Sequence[str] = (),
) -> PublishedVersion:
    """Return values of one hash as PostgreSQL has them: behavioral 1.0 of noon, row 7."""
    columns = Columns(["c1"], {name: np.array([value]) for name, value in features.items()})
    return PublishedVersion(
        feature_type,
        layout.stamps([microseconds(as_of)], row_ids=[row], version=version),
        {
            layout.metadata_field(feature_type): [orjson.dumps(dict(metadata)).decode()],
            **(texts_of(columns) if features else {}),
            **{name: [REMOVED] for name in without},
        },
    )


def absent(feature_type: str = "customer") -> PublishedVersion:
    return PublishedVersion(feature_type, [""], {layout.metadata_field(feature_type): ["{}"]})


def publish(*versions: PublishedVersion, customer_id: str = "c1") -> int:
    return store.write_hashes([PublishedHashes("", [customer_id], versions)])


@pytest.fixture
def client() -> "redis.Redis[bytes]":
    return get_redis_connection("default")


def test_a_hash_holds_a_field_a_feature_and_the_stores_own(client: "redis.Redis[bytes]") -> None:
    publish(published(metadata={"weight_set": 1}), absent())
    assert client.keys("customer_features:*") == [b"customer_features:c1"]
    assert cached("c1") == {
        "engagement_score": "0.5",
        "_behavioral": STAMP,
        "_behavioral:metadata": '{"weight_set":1}',
        "_customer": "",
        "_customer:metadata": "{}",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (1.0, "1.0"), (3, "3.0"), (0.1, "0.1"), (1 / 3, "0.3333333333333333"),
        (5e-324, "5e-324"), (LARGEST, "1.7976931348623157e+308"), (1e16, "1e+16"), (-1.5, "-1.5"),
    ],
)  # fmt: skip
def test_a_value_is_a_decimal_string(value: float, text: str) -> None:
    publish(published(features={"a": value}))
    assert cached("c1")["a"] == text


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_comes_back_from_its_string(value: float) -> None:
    get_redis_connection("default").delete("customer_features:c1")
    publish(published(features={"a": value}))
    assert float(cached("c1")["a"]) == value


@pytest.mark.parametrize("customer_id", ["c1", "{c1}", "ünïcode-客户", "a:b", "x" * 128, "*?[c1]", "%00"])
def test_the_key_holds_the_id_itself(client: "redis.Redis[bytes]", customer_id: str) -> None:
    publish(published(), customer_id=customer_id)
    assert client.keys("customer_features:*") == [f"customer_features:{customer_id}".encode()]
    assert store.read_hashes([customer_id], ["engagement_score"]) == [[b"0.5"]]


def test_metadata_with_any_text_survives_the_script() -> None:
    metadata = {"quote'\"": "\\ \n \x01 \u2028 💐 ]]", "nested": [{"a": [[]]}, None, True, 1e308]}
    publish(published(metadata=metadata))
    assert orjson.loads(cached("c1")["_behavioral:metadata"]) == metadata


def test_a_hash_lives_as_long_as_the_setting_says(client: "redis.Redis[bytes]", settings: Settings) -> None:
    settings.FEATURE_TTL = 77
    publish(published())
    assert client.ttl("customer_features:c1") == 77


@pytest.mark.parametrize("row", [7, 6])
def test_publishing_again_renews_the_ttl_though_nothing_is_newer(client: "redis.Redis[bytes]", row: int) -> None:
    publish(published())
    client.expire("customer_features:c1", 5)
    assert publish(published(row=row)) == 0
    assert client.ttl("customer_features:c1") == 3600


def test_that_nobody_has_heard_of_a_customer_is_not_remembered_for_long(client: "redis.Redis[bytes]") -> None:
    publish(absent(), absent("behavioral"))
    assert 0 < client.ttl("customer_features:c1") <= 60


def test_that_nothing_is_there_is_forgotten_when_something_is(client: "redis.Redis[bytes]") -> None:
    publish(absent(), absent("behavioral"))
    assert publish(absent(), published()) == 1
    assert cached("c1")["engagement_score"] == "0.5"
    assert client.ttl("customer_features:c1") == 3600


def test_that_nothing_was_there_never_replaces_what_is() -> None:
    publish(published())
    assert publish(absent("behavioral")) == 0
    assert cached("c1")["_behavioral"] == STAMP


def computations() -> list[PublishedVersion]:
    """Return computations of one customer, the oldest first: a later row, and a later moment of one row, is newer."""
    rows = [(NOON, 7), (NOON + timedelta(microseconds=1), 7), (NOON + timedelta(hours=1), 10), (NOON, 12)]
    return [published(as_of=as_of, row=row, features={"a": float(number)}) for number, (as_of, row) in enumerate(rows)]


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_an_older_computation_never_overwrites_a_newer_one(order: tuple[int, ...]) -> None:
    newest = -1
    for number in order:
        assert publish(computations()[number]) == (number > newest)
        newest = max(newest, number)
        assert cached("c1")["a"] == repr(float(newest))


def test_a_value_that_newer_values_do_not_have_is_deleted() -> None:
    publish(published(features={"a": 1.0, "b": 2.0}))
    publish(published(row=8, features={"a": 3.0}, without=["b", "never_there"]))
    held = cached("c1")
    assert (held["a"], held["_behavioral"][-5:-4], "b" in held) == ("3.0", "8", False)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_older_values_delete_nothing_of_newer_ones(order: tuple[int, ...]) -> None:
    names = ["a", "b", "c", "d"]
    for number in order:  # each has a value for one name, and none for the others
        part = published(row=number, features={names[number]: 1.0}, without=names[:number] + names[number + 1 :])
        publish(part)
    assert {name for name in cached("c1") if not name.startswith("_")} == {"d"}


def test_each_type_has_a_newest_of_its_own() -> None:
    publish(published(row=9), published(feature_type="customer", row=1, features={"tenure_days": 1.0}))
    assert publish(published(row=8), published(feature_type="customer", row=2, features={})) == 1
    assert (cached("c1")["_behavioral"][-5:-4], cached("c1")["_customer"][-5:-4]) == ("9", "2")


AWKWARD_IDS = ["c1", "007", "7", "c*", "c->a", "{c}", "ö", "x" * 128]


@pytest.mark.parametrize("suffix", ["", ":behavioral:2.0"])
def test_columns_of_many_hashes_are_read_in_the_order_asked(suffix: str) -> None:
    for number, name in enumerate(AWKWARD_IDS):
        store.write_hashes([PublishedHashes(suffix, [name], [published(features={"a": float(number)})])])
    asked = ["nobody", *reversed(AWKWARD_IDS), "c1"]
    rows = store.read_hashes(asked, ["a", "absent", "_behavioral"], suffix=suffix)
    columns = store.read_columns(asked, ["a", "absent", "_behavioral"], suffix=suffix)
    assert [list(column) for column in columns] == [list(column) for column in zip(*rows, strict=True)]
    assert columns[0][:2] == [None, b"7.0"]
    assert get_redis_connection("default").keys("reading:*") == []


def test_columns_are_one_command_and_its_list() -> None:
    with redis_commands() as commands:
        store.read_columns(["c1", "c2"], ["a", "b"])
    assert [command.split()[0] for command in commands] == ["MULTI", "RPUSH", "SORT", "DEL", "EXEC"]


@pytest.mark.usefixtures("full_redis")
def test_columns_are_read_from_a_full_redis() -> None:
    assert store.read_columns(["c1", "c2"], ["a", "b"]) == [(None, None), (None, None)]


def test_hashes_with_and_without_values_are_published_by_one_script() -> None:
    later = STAMP.replace("7 1.0", "8 1.0")
    behavioral = {"_behavioral:metadata": ["{}"] * 3, "_behavioral:base": ["1,2", UNCHANGED, "3,4"]}
    customer = PublishedVersion("customer", [STAMP, "", STAMP], {"tenure_days": ["3.0", UNCHANGED, "5.0"]})
    versions = [PublishedVersion("behavioral", [STAMP, "", later], {**behavioral, "a": ["1.0", UNCHANGED, "2.0"]})]
    publish(absent())  # loads the script
    with redis_commands() as commands:
        assert store.write_hashes([PublishedHashes("", ["c1", "c2", "c3"], [*versions, customer])]) == 6
    assert len(commands) == 1
    assert cached("c1") == {
        "_behavioral": STAMP,
        "_behavioral:metadata": "{}",
        "_behavioral:base": "1,2",
        "a": "1.0",
        "_customer": STAMP,
        "tenure_days": "3.0",
        "_customer:metadata": "{}",
    }
    assert cached("c2") == {"_behavioral": "", "_behavioral:metadata": "{}", "_customer": ""}
    assert (cached("c3")["_behavioral"], cached("c3")["a"], cached("c3")["tenure_days"]) == (later, "2.0", "5.0")


def test_a_version_that_is_not_live_has_a_hash_of_its_own() -> None:
    store.write_hashes([PublishedHashes(":behavioral:2.0", ["c1"], [published(version="2.0", features={"a": 3.0})])])
    assert store.read_hashes(["c1"], ["_behavioral", "a", "b"], suffix=":behavioral:2.0") == [
        [STAMP.replace(" 1.0", " 2.0").encode(), b"3.0", None]
    ]
    assert not cached("c1")


def test_a_name_is_deleted_where_it_is_said_to_be_absent_and_kept_where_nothing_is_said() -> None:
    names = ["c1", "c2", "c3"]
    values = {"a": ["1.0"] * 3, "b": ["2.0"] * 3}
    store.write_hashes([PublishedHashes("", names, [PublishedVersion("behavioral", [STAMP] * 3, values)])])
    later, earlier = (STAMP.replace("7 1.0", f"{row} 1.0") for row in (8, 6))
    changed = {"a": ["3.0", UNCHANGED, REMOVED], "b": [REMOVED, "4.0", REMOVED]}
    version = PublishedVersion("behavioral", [later, later, earlier], changed)
    store.write_hashes([PublishedHashes("", names, [version])])
    held = [{name: text for name, text in cached(key).items() if name[0] != "_"} for key in names]
    assert held == [{"a": "3.0"}, {"a": "1.0", "b": "4.0"}, {"a": "1.0", "b": "2.0"}]


def test_many_customers_are_published_in_few_commands() -> None:
    names = [f"c{number}" for number in range(1_200)]
    texts = [repr(float(number)) for number in range(1_200)]
    publish(absent(), customer_id="c0")  # loads the script
    with redis_commands() as commands:
        version = PublishedVersion("behavioral", [STAMP] * 1_200, {"a": texts})
        assert store.write_hashes([PublishedHashes("", names, [version])]) == 1_200
    assert len(commands) == ceil(1_200 / store.PUBLISHED_PER_SCRIPT) == 12
    assert store.read_hashes(names, ["a"]) == [[text.encode()] for text in texts]


def test_a_batch_is_read_in_the_order_asked_with_a_gap_for_each_unknown() -> None:
    publish(published(), customer_id="c1")
    assert store.read_hashes(["c2", "c1", "c2", "c1"], ["engagement_score", "_customer"]) == [
        [None, None],
        [b"0.5", None],
        [None, None],
        [b"0.5", None],
    ]


def test_a_script_that_the_server_has_forgotten_is_sent_again(client: "redis.Redis[bytes]") -> None:
    publish(published())
    client.script_flush()
    assert publish(published(row=8)) == 1
    client.script_flush()
    assert store.read_hashes(["c1", "c1"], ["engagement_score"]) == [[b"0.5"], [b"0.5"]]


def test_a_stamp_gives_back_its_moment_and_version() -> None:
    assert parse_stamp(STAMP.encode()) == (NOON, "1.0")


@given(stamps=st.tuples(stamps, stamps))
def test_of_any_two_computations_the_one_of_the_later_row_stays(stamps: tuple[tuple[timedelta, int], ...]) -> None:
    parts = [published(as_of=EPOCH + since, row=row) for since, row in stamps]
    get_redis_connection("default").delete("customer_features:c1")
    for part in parts:
        publish(part)
    since, row = max(stamps, key=lambda stamp: (stamp[1], stamp[0]))
    assert [cached("c1")["_behavioral"]] == published(as_of=EPOCH + since, row=row).stamps
