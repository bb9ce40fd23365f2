"""GET /api/v1/customers/{id}/features/."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django_redis import get_redis_connection

from featurehub.access.models import Scope
from features.models import FeatureDefinition, FeatureVersion
from tests.api_client import ApiClient, error_of
from tests.away import redis_away
from tests.factories import cached, forget_registry, make_client, make_customer, make_purchase, url_of
from tests.redis_commands import redis_commands


def get(api: ApiClient, *, names: str | None = "page_views_30d,purchases_30d", customer_id: str = "c1") -> Any:
    response = api.get(url_of(customer_id), {} if names is None else {"names": names})
    assert response.status_code == 200, response.content
    return response.json()


def test_the_named_values_are_given_in_the_order_asked(api: ApiClient) -> None:
    make_customer("c1", page_view=3, purchase=1)
    answer = get(api)
    computed_at = datetime.fromisoformat(answer.pop("computed_at"))
    assert 0 <= answer.pop("age_seconds") <= (datetime.now(UTC) - computed_at).total_seconds()
    assert answer == {
        "customer_id": "c1",
        "versions": {"behavioral": "1.0"},
        "features": {"page_views_30d": 3.0, "purchases_30d": 1.0},
        "missing": {},
        "source": "cache",
    }
    assert list(get(api, names="purchases_30d,page_views_30d")["features"]) == ["purchases_30d", "page_views_30d"]


def test_without_names_every_live_value_is_given(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    answer = get(api, names=None)
    assert set(answer["features"]) == set(FeatureDefinition.objects.values_list("name", flat=True))
    assert answer["versions"] == {"behavioral": "1.0", "contextual": "1.0", "customer": "1.0", "derived": "1.0"}
    assert set(answer["missing"]) == {"tenure_days", "loyalty_tier", "cart_value", "items_in_cart"}


def test_a_name_without_a_value_is_zero_with_the_reason(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    answer = get(api, names="page_views_30d,foo,tenure_days,purchases_30d")
    assert answer["features"] == {"page_views_30d": 3.0, "foo": 0.0, "tenure_days": 0.0, "purchases_30d": 0.0}
    assert answer["missing"] == {"foo": "unknown", "tenure_days": "no_value"}
    assert answer["versions"] == {"behavioral": "1.0", "customer": "1.0"}


@pytest.mark.parametrize("source", ["database", "cache"])
def test_a_customer_nobody_has_heard_of_has_zeros(api: ApiClient, source: str) -> None:
    if source == "cache":
        get(api)
    assert get(api) == {
        "customer_id": "c1",
        "versions": {"behavioral": "1.0"},
        "features": {"page_views_30d": 0.0, "purchases_30d": 0.0},
        "missing": {"page_views_30d": "no_value", "purchases_30d": "no_value"},
        "computed_at": None,
        "age_seconds": None,
        "source": source,
    }


@pytest.mark.parametrize(
    "names", ["foo", "foo,bar,foo", "_behavioral,_behavioral:metadata", "é,💐, page_views_30d", "\x00"]
)
def test_of_names_that_nobody_knows_it_is_said(api: ApiClient, names: str) -> None:
    make_customer("c1", page_view=3)
    answer = get(api, names=names)
    assert answer["missing"] == dict.fromkeys(names.split(","), "unknown")
    assert answer["features"] == dict.fromkeys(names.split(","), 0.0)
    assert (answer["versions"], answer["computed_at"]) == ({}, None)


def test_a_name_asked_twice_is_given_once(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    assert get(api, names="page_views_30d,page_views_30d,,foo")["features"] == {"page_views_30d": 3.0, "foo": 0.0}


@pytest.mark.parametrize("names", ["", ",", ",,,"])
def test_names_that_name_nothing_are_refused(api: ApiClient, names: str) -> None:
    assert error_of(api.get(url_of("c1"), {"names": names})) == (400, "names")


def test_what_redis_lacks_comes_from_postgresql_and_is_in_redis_again(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    held = get(api)
    get_redis_connection("default").delete("customer_features:c1")
    answers = [get(api), get(api)]
    assert [answer["source"] for answer in answers] == ["database", "cache"]
    for answer in answers:
        assert answer["features"] == held["features"]
        assert answer["computed_at"] == held["computed_at"]


def test_cache_and_database_give_the_same_answer(api: ApiClient) -> None:
    make_customer("c1", events=[make_purchase(amount=33.3, category="a"), make_purchase(amount=1e300)], page_view=7)
    answers = [get(api, names=None)]
    get_redis_connection("default").delete("customer_features:c1")
    answers += [get(api, names=None), get(api, names=None)]
    for answer in answers:
        answer.pop("age_seconds")
    assert [answer.pop("source") for answer in answers] == ["cache", "database", "cache"]
    assert answers[0] == answers[1] == answers[2]


def test_with_redis_away_postgresql_answers(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    with redis_away():
        answer = get(api)
    assert (answer["source"], answer["features"]["page_views_30d"]) == ("database", 3.0)


def test_a_redis_that_is_full_is_no_reason_not_to_answer(api: ApiClient, full_redis: None) -> None:
    answer = get(api)
    assert (answer["source"], set(answer["features"].values())) == ("database", {0.0})


@pytest.mark.parametrize(
    "lost", [["_behavioral"], ["_behavioral", "page_views_30d"], ["_behavioral:metadata", "_behavioral"]]
)
def test_a_hash_that_lost_its_stamp_is_not_believed(api: ApiClient, lost: list[str]) -> None:
    make_customer("c1", page_view=3)
    get_redis_connection("default").hdel("customer_features:c1", *lost)
    assert (get(api)["source"], get(api)["features"]["page_views_30d"]) == ("database", 3.0)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("version=1.0", 200),
        ("version=behavioral:1.0", 200),
        ("version=behavioral:1.0&version=customer:1.0", 200),
        ("version=1.0&version=behavioral:1.0", 200),
        ("version=2.0", 404),
        ("version=customer:7", 404),
        ("version=guess:1.0", 404),
        ("version=behavioral:", 404),
        ("version=:1.0", 404),
        ("version=", 404),
        ("version=behavioral:1.0&version=9", 404),
        ("version=%00", 404),
    ],
)
def test_a_version_is_one_that_can_be_read(api: ApiClient, query: str, status: int) -> None:
    make_customer("c1", page_view=3)
    response = api.get(f"{url_of('c1')}?names=page_views_30d&{query}")
    assert response.status_code == status
    if status == 200:
        assert response.json()["features"] == {"page_views_30d": 3.0}
    else:
        assert error_of(response)[0] == 404


def test_two_versions_of_one_type_are_refused(api: ApiClient) -> None:
    FeatureVersion.objects.create(feature_type="behavioral", number="2.0", state="shadow")
    forget_registry()
    assert error_of(api.get(f"{url_of('c1')}?version=1.0&version=2.0")) == (400, "version")


@pytest.mark.parametrize(
    "customer_id",
    [
        "x" * 128,
        "ünïcode-客户-🛒",
        "a:b",
        "{c1}",
        "50%",
        "a?b#c&d=e+f",
        "..",
        "%2F",
        "a%20b",
        "';drop_table_x;--",
        "*",
    ],
)
def test_an_id_may_hold_any_printable_character_but_a_blank_and_a_slash(api: ApiClient, customer_id: str) -> None:
    make_customer(customer_id, page_view=3)
    answer = get(api, customer_id=customer_id)
    assert (answer["customer_id"], answer["features"]["page_views_30d"]) == (customer_id, 3.0)
    assert cached(customer_id)["page_views_30d"] == "3.0"


@pytest.mark.parametrize("customer_id", ["x" * 129, "a b", "%20", "a\nb", "a\u00a0b", "\x00", "\u200b", "a\tb"])
def test_an_id_that_can_be_nobodys_is_refused(api: ApiClient, customer_id: str) -> None:
    customer_id = "a b" if customer_id == "%20" else customer_id
    assert error_of(api.get(url_of(customer_id))) == (400, "customer_id")


@pytest.mark.parametrize("path", ["%FF", "%C3%28", "%ED%A0%80", "a%FFb"])
def test_a_path_that_is_no_unicode_is_answered(api: ApiClient, path: str) -> None:
    assert api.get(f"/api/v1/customers/{path}/features/").status_code in (200, 400)


def test_a_slash_is_no_part_of_an_id(api: ApiClient) -> None:
    assert error_of(api.get(f"/api/v1/customers/{quote('a/b', safe='')}/features/")) == (404, None)


def test_a_read_from_redis_is_one_command_and_asks_postgresql_nothing(
    api: ApiClient, django_assert_num_queries: Any
) -> None:
    make_customer("c1", page_view=3)
    get(api, names=None)  # the use of a version by a key is noted once an hour
    for names in ("page_views_30d,foo", None):
        with django_assert_num_queries(0), redis_commands() as commands:
            assert get(api, names=names)["source"] == "cache"
        assert [command.split()[:2] for command in commands] == [["HMGET", "customer_features:c1"]]


def test_the_age_grows_with_time(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    get_redis_connection("default").hset("customer_features:c1", "_behavioral", an_hour_before(cached("c1")))
    assert 3600 <= get(api)["age_seconds"] < 3700


def an_hour_before(fields: dict[str, str]) -> str:
    moment, rest = fields["_behavioral"].split(" ", 1)
    return f"{int(moment) - timedelta(hours=1) // timedelta(microseconds=1):017d} {rest}"


def test_the_oldest_of_the_values_given_says_when_they_were_computed(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    old = "2026-01-01T00:00:00Z"
    body = {"feature_type": "customer", "version": "1.0", "features": {"tenure_days": 5}, "timestamp": old}
    api.patch(url_of("c1"), body)
    assert get(api, names="page_views_30d")["computed_at"] > old
    assert get(api, names="page_views_30d,tenure_days,foo")["computed_at"] == old
    assert get(api, names="page_views_30d,cart_value")["computed_at"] > old


@pytest.mark.parametrize("value", [0.0, 1e-7, 5e-324, 1e16, 1e22, 1.7976931348623157e308, 0.1 + 0.2, 12345678901.5])
def test_every_double_is_read_as_it_was_written(api: ApiClient, value: float) -> None:
    body = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": value, "items_in_cart": 2}}
    assert make_client(Scope.WRITE).patch(url_of("ü%b"), body).status_code == 200
    answer = api.get(url_of("ü%b"), {"names": "items_in_cart,cart_value"}).json()
    assert (answer["customer_id"], answer["source"], answer["missing"]) == ("ü%b", "cache", {})
    assert list(answer["features"].items()) == [("items_in_cart", 2.0), ("cart_value", value)]
