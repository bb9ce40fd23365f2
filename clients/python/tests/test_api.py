"""What each operation answers: on the fake and the real server, by both clients."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Target, eventually
from featurehub_client import (
    AuthenticationError,
    InvalidRequestError,
    NewEvent,
    NotFoundError,
    PatchedRow,
    PermissionDeniedError,
    WeightChange,
)

NAMES = ["cart_value", "items_in_cart", "nothing"]


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def refusal_of(error: "pytest.ExceptionInfo[Any]") -> tuple[int, str, str | None]:
    return error.value.status, error.value.code, error.value.attr


def page_views(customer_id: str, number: int) -> list[NewEvent]:
    return [
        NewEvent(customer_id=customer_id, event_type="page_view", timestamp=days_ago(1), session_id=f"s{place}")
        for place in range(number)
    ]


# --- Values -----------------------------------------------------------------------------------------------------------


def test_written_values_are_read_and_other_names_have_their_default_and_a_reason(hub: Any, customer_id: str) -> None:
    written = hub.set_customer_features(customer_id, {"cart_value": 99.5}, feature_type="contextual")
    assert (written.customer_id, written.features) == (customer_id, {"cart_value": 99.5})
    assert (written.feature_type, written.version) == ("contextual", "1.0")

    values = hub.get_customer_features(customer_id, NAMES)
    assert values.features == {"cart_value": 99.5, "items_in_cart": 0.0, "nothing": 0.0}
    assert values.missing == {"items_in_cart": "no_value", "nothing": "unknown"}
    assert values.present() == {"cart_value": 99.5}
    assert values.versions == {"contextual": "1.0"}
    assert values.computed_at == written.timestamp
    assert 0 <= values.age_seconds < 60


def test_a_customer_nobody_has_heard_of_has_defaults(hub: Any, customer_id: str) -> None:
    values = hub.get_customer_features(customer_id)
    assert {"engagement_score", "cart_value", "rfm_score"} <= values.features.keys()
    assert set(values.features.values()) == {0.0}
    assert (values.computed_at, values.age_seconds) == (None, None)


def test_values_are_merged_over_those_that_hold(hub: Any, customer_id: str) -> None:
    hub.set_customer_features(customer_id, {"cart_value": 1.0, "items_in_cart": 2}, feature_type="contextual")
    written = hub.set_customer_features(customer_id, {"cart_value": 3.0}, feature_type="contextual")
    assert written.features == {"cart_value": 3.0, "items_in_cart": 2.0}


def test_an_id_is_percent_encoded(hub: Any, customer_id: str) -> None:
    for unusual in (f"{customer_id}%?#é@", f"{customer_id}+&;="):
        hub.set_customer_features(unusual, {"cart_value": 7.0}, feature_type="contextual")
        assert hub.get_customer_features(unusual, ["cart_value"]).features == {"cart_value": 7.0}
        assert hub.get_feature_history(unusual, "cart_value").results[0].customer_id == unusual


def test_many_customers_are_read_in_the_order_asked(hub: Any, customer_id: str) -> None:
    hub.set_customer_features(customer_id, {"cart_value": 5.0}, feature_type="contextual")
    asked = [*(f"{customer_id}-{number}" for number in range(1_000)), customer_id]
    values = hub.get_features_of_customers(asked, ["cart_value"])
    assert [each.customer_id for each in values] == asked
    assert [each.features["cart_value"] for each in values if not each.missing] == [5.0]


def test_a_set_is_made_and_read_by(hub: Any, customer_id: str) -> None:
    name = f"set_{customer_id[2:10]}"
    made = hub.make_feature_set(name, ["cart_value", "engagement_score"], reason="For a test")
    assert made.written == f"{name}:1"
    assert made.versions == {"behavioral": "1.0", "contextual": "1.0"}
    assert hub.make_feature_set(name, ["cart_value", "engagement_score"]) == made
    assert hub.get_feature_set(f"{name}:1") == made
    assert hub.list_feature_sets(name) == [made]

    def read() -> Any:
        return hub.get_customer_features(customer_id, feature_set=f"{name}:1")

    values = eventually_found(read)
    assert list(values.features) == ["cart_value", "engagement_score"]
    assert values.feature_set == f"{name}:1"
    [of_batch] = hub.get_features_of_customers([customer_id], feature_set=f"{name}:1")
    assert of_batch.features == values.features

    with pytest.raises(NotFoundError, match=f"There is no feature set {name}:2. {name} has the number 1.") as error:
        hub.get_customer_features(customer_id, feature_set=f"{name}:2")
    assert refusal_of(error) == (404, "not_found", None)


def eventually_found(read: Any) -> Any:
    """Return the first answer: a process that did not make a set knows it within 5 seconds."""

    def attempt() -> Any:
        try:
            return read()
        except NotFoundError:
            return None

    return eventually(attempt, lambda answer: answer is not None)


def test_the_vector_has_every_live_value(hub: Any, customer_id: str) -> None:
    hub.set_customer_features(customer_id, {"loyalty_tier": 2}, feature_type="customer", metadata={"by": "crm"})
    vector = hub.get_feature_vector(customer_id)
    assert vector.features["loyalty_tier"] == 2.0
    assert vector.missing["cart_value"] == "no_value"
    assert (vector.feature_type, vector.version) == ("vector", "1.0")
    assert vector.metadata["by"] == "crm"


def test_rows_are_written_together(hub: Any, customer_id: str) -> None:
    rows = [PatchedRow(customer_id=f"{customer_id}-{number}", features={"cart_value": number}) for number in range(3)]
    written = hub.set_features_of_customers(rows, feature_type="contextual")
    assert (written.accepted, written.appended) == (3, 3)
    again = hub.set_features_of_customers(rows, feature_type="contextual")
    assert (again.accepted, again.appended) == (3, 0)


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_a_wrong_row_is_named_and_nothing_is_written(hub: Any, customer_id: str) -> None:
    rows = [
        PatchedRow(customer_id=customer_id, features={"cart_value": 1.0}),
        PatchedRow(customer_id=customer_id, features={"cart_value": -1.0}),
    ]
    with pytest.raises(InvalidRequestError, match="cart_value is at least 0") as error:
        hub.set_features_of_customers(rows, feature_type="contextual")
    assert refusal_of(error) == (400, "invalid", "rows.1.features.cart_value")
    assert hub.get_customer_features(customer_id, ["cart_value"]).missing == {"cart_value": "no_value"}


@pytest.mark.parametrize(
    ("features", "feature_type", "version", "refusal", "sentence"),
    [
        ({"cart": 1.0}, "contextual", "1.0", (400, "invalid", "features.cart"), "cart is not registered in contextual"),
        ({"rfm_score": 1.0}, "derived", "1.0", (400, "invalid", "feature_type"), "derived values are computed"),
        ({"cart_value": 1.0}, "seasonal", "1.0", (400, "invalid", "feature_type"), "There is no feature type 'seas"),
        ({"cart_value": 1.0}, "contextual", "9.9", (404, "not_found", None), "There is no readable version conte"),
    ],
)
def test_what_cannot_be_written_is_refused_with_a_sentence(
    hub: Any, customer_id: str, features: Any, feature_type: str, version: str, refusal: Any, sentence: str
) -> None:
    with pytest.raises((InvalidRequestError, NotFoundError), match=sentence) as error:
        hub.set_customer_features(customer_id, features, feature_type=feature_type, version=version)
    assert refusal_of(error) == refusal


def test_no_value_is_not_a_number(hub: Any, customer_id: str) -> None:
    with pytest.raises(ValueError, match="cart_value is nan"):
        hub.set_customer_features(customer_id, {"cart_value": math.nan}, feature_type="contextual")


@pytest.mark.parametrize(
    ("versions", "error_type", "sentence"),
    [
        (["behavioral:9.9"], NotFoundError, r"There is no readable version behavioral:9\.9; the readable ones are beh"),
        (["seasonal:1.0"], NotFoundError, "the feature types are behavioral, contextual, customer and derived"),
    ],
)
def test_an_unknown_version_is_not_found(
    hub: Any, customer_id: str, versions: list[str], error_type: type[Exception], sentence: str
) -> None:
    with pytest.raises(error_type, match=sentence) as error:
        hub.get_customer_features(customer_id, ["cart_value"], versions=versions)
    assert refusal_of(error) == (404, "not_found", None)


def test_a_wrong_id_is_named(hub: Any) -> None:
    with pytest.raises(InvalidRequestError, match="1 to 128 printable characters without blanks") as error:
        hub.get_customer_features("a b", ["cart_value"])
    assert refusal_of(error) == (400, "invalid", "customer_id")
    with pytest.raises(InvalidRequestError) as error:
        hub.get_features_of_customers(["a", "a b"], ["cart_value"])
    assert refusal_of(error) == (400, "invalid", "customer_ids.1")


def test_a_read_without_names_is_refused(hub: Any) -> None:
    with pytest.raises(InvalidRequestError, match="Name the features, or give a feature set as `set`") as error:
        hub.get_features_of_customers(["c1"])
    assert refusal_of(error) == (400, "required", "names")


def test_an_unknown_key_and_a_key_without_the_scope_are_refused(target: Target, customer_id: str) -> None:
    with (
        target.client("fh_unknown") as hub,
        pytest.raises(AuthenticationError, match="unknown, has expired or") as error,
    ):
        hub.get_customer_features(customer_id)
    assert refusal_of(error) == (401, "authentication_failed", None)
    with target.client(target.read_key) as hub:
        assert hub.get_customer_features(customer_id, ["cart_value"]).missing
        with pytest.raises(PermissionDeniedError, match="This API key lacks the scope write") as error:
            hub.erase_customer(customer_id)
    assert refusal_of(error) == (403, "permission_denied", None)


# --- History and training ---------------------------------------------------------------------------------------------


def write_history(hub: Any, customer_id: str) -> list[datetime]:
    """Write the values 1, 2 and 3 of three days."""
    moments = [days_ago(days) for days in (3, 2, 1)]
    for value, moment in enumerate(moments, start=1):
        hub.set_customer_features(
            customer_id, {"cart_value": float(value)}, feature_type="contextual", timestamp=moment
        )
    return moments


def test_the_history_is_read_page_by_page(hub: Any, customer_id: str) -> None:
    moments = write_history(hub, customer_id)
    page = hub.get_feature_history(customer_id, "cart_value", limit=2)
    assert [row.features["cart_value"] for row in page.results] == [3.0, 2.0]
    assert page.results[0].timestamp == moments[2]
    assert page.results[0].recorded_at > moments[2]
    last = hub.get_feature_history(customer_id, "cart_value", limit=2, cursor=page.next_cursor)
    assert ([row.features["cart_value"] for row in last.results], last.next_cursor) == ([1.0], None)
    rows = list(hub.iterate_feature_history(customer_id, "cart_value", limit=1, since=moments[1]))
    assert [row.features["cart_value"] for row in rows] == [3.0, 2.0]
    assert [row.features["cart_value"] for row in hub.iterate_feature_history(customer_id, "cart_value")] == [3, 2, 1]


def test_the_history_of_an_unknown_feature_is_not_found(hub: Any, customer_id: str) -> None:
    with pytest.raises(NotFoundError, match="There is no feature nothing; GET /api/v1/definitions/ lists them"):
        hub.get_feature_history(customer_id, "nothing")


def test_a_wrong_cursor_is_refused(hub: Any, customer_id: str) -> None:
    with pytest.raises(InvalidRequestError, match="The cursor is not valid") as error:
        hub.get_feature_history(customer_id, "cart_value", cursor="newest")
    assert refusal_of(error) == (400, "invalid", "cursor")


def test_values_as_of_a_moment_are_those_that_held_then(hub: Any, customer_id: str) -> None:
    moments = write_history(hub, customer_id)
    asked = [moments[0] - timedelta(days=1), moments[0], moments[1] + timedelta(hours=1), datetime.now(UTC)]
    rows = hub.get_features_as_of([(customer_id, moment) for moment in asked], ["cart_value"]).results
    assert [row.timestamp for row in rows] == asked
    assert [row.features["cart_value"] for row in rows] == [0.0, 1.0, 2.0, 3.0]
    assert [row.missing for row in rows] == [{"cart_value": "no_value"}, {}, {}, {}]
    known = hub.get_features_as_of([(customer_id, asked[3])], ["cart_value"], known_at=days_ago(0.5))
    assert known.results[0].missing == {"cart_value": "no_value"}


# --- Events and scores ------------------------------------------------------------------------------------------------


def test_events_are_counted_once_scored_explained_and_listed(hub: Any, customer_id: str) -> None:
    events = [
        *page_views(customer_id, 50),
        NewEvent(
            customer_id=customer_id, event_type="purchase", timestamp=days_ago(3),
            metadata={"amount": 250.0, "category": "books"},
        ),
    ]  # fmt: skip
    stored = hub.store_events(events)
    assert (stored.accepted, stored.duplicates, stored.refused) == (51, 0, [])
    assert hub.store_events(events[:10]).duplicates == 10

    names = ["engagement_score", "page_views_30d", "monetary_score", "category_preferences", "frequency_score"]
    values = eventually(lambda: hub.get_customer_features(customer_id, names), lambda read: not read.missing)
    assert list(values.features.values()) == pytest.approx([0.18, 50.0, 0.25, 1.0, 0.1])
    assert hub.get_customer_features(customer_id, ["recency_score"]).features["recency_score"] == pytest.approx(
        0.9, abs=1e-3
    )

    explanation = hub.explain_score(customer_id)
    parts = {each.event_type: each.contribution for each in explanation.contributions if each.count}
    assert parts == pytest.approx({"page_view": 0.15, "purchase": 0.03})
    assert explanation.unclamped_score == pytest.approx(0.18)

    computed = hub.compute_features(events)
    assert computed.features["engagement_score"] == pytest.approx(0.18)
    assert computed.derived["rfm_score"] == pytest.approx((0.9 + 0.1 + 0.25) / 3, abs=1e-3)
    tried = hub.compute_features(events, weights={"purchase": WeightChange(weight=1.0)})
    assert tried.features["engagement_score"] == pytest.approx(0.25)
    assert tried.metadata.weight_set is None

    conditions = ["engagement_score>0.17,engagement_score<0.19", "!cart_value"]
    listed = list(hub.iterate_customers(order="-engagement_score", where=conditions, limit=1))
    [found] = [each for each in listed if each.customer_id == customer_id]
    assert found.features["engagement_score"] == pytest.approx(0.18)
    assert found.days_since_purchase == pytest.approx(3, abs=0.01)


def test_a_wrong_event_is_named_and_none_is_stored(hub: Any, customer_id: str) -> None:
    wrong = NewEvent(customer_id=customer_id, event_type="reading")
    with pytest.raises(
        InvalidRequestError, match=r"No event type 'reading' is registered\. There are page_view"
    ) as error:
        hub.store_events([*page_views(customer_id, 1), wrong])
    assert refusal_of(error) == (400, "unregistered_event_type", "events.1.event_type")
    early = NewEvent(customer_id=customer_id, event_type="login", timestamp=days_ago(-1))
    with pytest.raises(InvalidRequestError, match="more than 5 minutes ahead of the server") as error:
        hub.store_events([early])
    assert refusal_of(error) == (400, "invalid", "events.0.timestamp")


def test_buffered_events_are_stored(hub: Any, customer_id: str) -> None:
    for event in page_views(customer_id, 10):
        hub.send_event(event)
    assert hub.events.flush(timeout=20)
    assert (hub.events.counts.stored, hub.events.counts.lost) == (10, 0)
    values = eventually(
        lambda: hub.get_customer_features(customer_id, ["page_views_30d"]), lambda read: not read.missing
    )
    assert values.features == {"page_views_30d": 10.0}


def test_lists_refuse_what_they_cannot_be_sorted_or_filtered_by(hub: Any) -> None:
    with pytest.raises(InvalidRequestError, match="cart_value is not listed: lists are sorted by customer_id") as error:
        hub.list_customers(order="cart_value")
    assert refusal_of(error) == (400, "invalid", "order")
    with pytest.raises(InvalidRequestError, match=r"There is no live feature cart_valu\. Did you mean cart_") as error:
        hub.list_customers(where=["cart_valu>1"])
    assert refusal_of(error) == (400, "invalid", "where")
    with pytest.raises(InvalidRequestError, match="is no condition: write name>=number"):
        hub.list_customers(where=["cart_value>"])


# --- The registry, and erasure ----------------------------------------------------------------------------------------


def test_definitions_and_weights_are_listed(hub: Any) -> None:
    definitions = {each.name: each for each in hub.list_definitions().results}
    assert definitions["cart_value"].feature_type == "contextual"
    assert (definitions["cart_value"].minimum, definitions["cart_value"].versions) == (0.0, ["1.0"])
    assert definitions["rfm_score"].expression == "(recency_score + frequency_score + monetary_score) / 3"
    weights = hub.list_weight_sets()
    assert weights.active == weights.results[0]
    assert (weights.active.weights["page_view"].weight, weights.active.weights["page_view"].norm) == (0.3, 100.0)


def test_an_erased_customer_is_forgotten_and_not_taken_in_again(hub: Any, customer_id: str) -> None:
    hub.set_customer_features(customer_id, {"cart_value": 1.0}, feature_type="contextual")
    receipt = hub.erase_customer(customer_id)
    assert (receipt.customer_id, receipt.events, receipt.history_rows, receipt.done) == (customer_id, 0, 1, True)
    assert hub.get_customer_features(customer_id, ["cart_value"]).missing == {"cart_value": "no_value"}

    other = f"{customer_id}-other"
    stored = hub.store_events([*page_views(other, 1), *page_views(customer_id, 1)])
    assert (stored.accepted, [(each.index, each.reason) for each in stored.refused]) == (1, [(1, "erased")])
    with pytest.raises(InvalidRequestError, match="This customer was erased") as error:
        hub.set_customer_features(customer_id, {"cart_value": 1.0}, feature_type="contextual")
    assert refusal_of(error) == (400, "erased", "customer_id")
