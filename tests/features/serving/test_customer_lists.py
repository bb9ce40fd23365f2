"""Customer lists say what reads say: filtered, sorted, page by page, with totals, whatever changed the values."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from featurehub.lib.errors import InvalidError
from features.lifecycle import weight_set_steps
from features.materialization import client_values, customer_lists, erasure, recompute, refresh, rescore, runs
from features.models import Customer, FeatureDefinition, FeatureVersion, Run
from features.registry.snapshot import registry_snapshot
from features.serving.customer_lists import customer_list, parse_conditions
from features.serving.feature_store import get_feature_values
from features.serving.list_pages import list_at, read_figures, read_list, stream_list
from features.serving.list_segments import parse_edges, read_segments
from tests.factories import (
    ago,
    forget_registry,
    make_customer,
    make_definition,
    make_event,
    make_purchase,
    make_version,
    make_weight_set,
)

pytestmark = pytest.mark.django_db
LISTED = ("engagement_score", "rfm_score", "recency_score", "frequency_score", "monetary_score")


def listed(order: str = "-engagement_score", *where: str) -> list[str]:
    """Return the ids of a whole list."""
    return [row.customer_id for row in stream_list(customer_list(order=order, conditions=parse_conditions(where)))]


def values_of(customer_id: str, *names: str) -> dict[str, float | None]:
    """Return the values that the list has of a customer; `names` are further ones, which the customer has."""
    asked = customer_list(conditions=parse_conditions(names))
    row = next(row for row in stream_list(asked) if row.customer_id == customer_id)
    return dict(zip(asked.names, row.values, strict=True))


def assert_as_read(customer_id: str, *names: str) -> None:
    """Assert that the list has the values that a read gives, as far as time allows."""
    read = get_feature_values([customer_id], names=[*LISTED, *names])[0]
    in_list = values_of(customer_id, *(name for name in names if name not in registry_snapshot.get().listed))
    for name in (*LISTED, *names):
        expected = None if name in read.missing else pytest.approx(read.features[name], abs=1e-4)
        assert in_list[name] == expected, name


def three_customers() -> None:
    make_customer("low", page_view=5)
    make_customer("high", page_view=50, events=[make_purchase(amount=500.0, timestamp=ago(days=3)) for _ in range(5)])
    make_customer("middle", page_view=20, events=[make_purchase(amount=100.0, timestamp=ago(days=12))])


def list_feature(name: str, place: int = 6) -> None:
    FeatureDefinition.objects.filter(list_place=place).update(list_place=None)
    FeatureDefinition.objects.filter(name=name).update(list_place=place)
    forget_registry()


def fill() -> Run:
    run = customer_lists.begin_filling()
    assert run is not None
    while customer_lists.fill_next(run):
        pass
    run.refresh_from_db()
    return run


def test_customers_are_sorted_by_every_listed_feature_in_both_directions() -> None:
    three_customers()
    for name in LISTED:
        values = {customer_id: values_of(customer_id)[name] or 0.0 for customer_id in ("low", "middle", "high")}
        assert listed(name) == sorted(values, key=lambda each: (values[each], each))
        assert listed(f"-{name}") == sorted(values, key=lambda each: (-values[each], each))
    assert listed("customer_id") == ["high", "low", "middle"]
    assert listed("-customer_id") == ["middle", "low", "high"]


def test_the_list_has_the_values_that_reads_have() -> None:
    three_customers()
    for customer_id in ("low", "middle", "high"):
        assert_as_read(customer_id, "page_views_30d", "purchases_30d")


def test_values_that_decay_have_those_of_the_moment_of_the_list_and_no_renewal_writes_them() -> None:
    make_version(
        "behavioral",
        "2.0",
        state="live",
        warmth={"kind": "count", "event_type": "purchase", "window": "30d", "half_life_days": 2.0},
    )
    make_version("derived", "2.0", state="live", cooled={"expression": "clamp(log(1 + warmth), 0, 9) * recency_score"})
    list_feature("warmth")
    list_feature("cooled", place=7)
    make_customer("c1", events=[make_purchase(timestamp=ago(days=1))])
    names = ("recency_score", "rfm_score", "warmth", "cooled")
    now = customer_list()
    later = customer_list(now_s=now.now_s + timedelta(days=4).total_seconds())
    first, then = (dict(zip(each.names, next(stream_list(each)).values, strict=True)) for each in (now, later))
    read = get_feature_values(["c1"], names=names)[0].features
    assert {name: first[name] for name in names} == {name: pytest.approx(read[name], abs=1e-4) for name in names}
    assert then["recency_score"] == pytest.approx(read["recency_score"] - 4 / 30, abs=1e-4)
    assert then["warmth"] == pytest.approx(read["warmth"] / 4, abs=1e-4)
    assert then["cooled"] < first["cooled"]  # type: ignore[operator]
    assert then["rfm_score"] == pytest.approx(read["rfm_score"] - 4 / 90, abs=1e-4)


def test_a_range_a_value_and_last_seen_narrow_the_list() -> None:
    three_customers()
    make_customer("gone", events=[make_event(timestamp=ago(days=20))])
    assert listed("customer_id", "page_views_30d>=20") == ["high", "middle"]
    assert listed("customer_id", "page_views_30d>5,page_views_30d<50") == ["middle"]
    assert listed("customer_id", "page_views_30d=5") == ["low"]
    assert listed("customer_id", "days_since_purchase<=7") == ["high"]
    assert listed("customer_id", "!days_since_purchase") == ["gone", "low"]
    assert listed("customer_id", "days_since_seen>=7") == ["gone"]
    assert listed("customer_id", "engagement_score>=0.05", "days_since_purchase<=7") == ["high"]


def test_customers_are_filtered_by_having_a_value_that_a_client_wrote() -> None:
    three_customers()
    client_values.set_customer_features(
        "low", feature_type="customer", version="1.0", features={"loyalty_tier": 2.0, "tenure_days": 10}
    )
    assert listed("customer_id", "loyalty_tier") == ["low"]
    assert listed("customer_id", "!loyalty_tier") == ["high", "middle"]
    assert listed("customer_id", "loyalty_tier>=2,tenure_days<11") == ["low"]
    assert values_of("low", "loyalty_tier")["loyalty_tier"] == 2.0


def test_a_value_that_a_client_writes_is_in_the_list_after_the_next_refresh_where_it_is_listed() -> None:
    make_customer("c1", page_view=1)
    list_feature("loyalty_tier")
    fill()
    assert values_of("c1")["loyalty_tier"] is None
    client_values.set_customer_features("c1", feature_type="customer", version="1.0", features={"loyalty_tier": 3.0})
    refresh.refresh_dirty()
    assert listed("-loyalty_tier") == ["c1"]
    assert_as_read("c1", "loyalty_tier")


def test_an_expired_value_is_none() -> None:
    make_customer("c1", page_view=1)
    list_feature("loyalty_tier")
    fill()
    set_tier = {"feature_type": "customer", "version": "1.0", "features": {"loyalty_tier": 3.0}}
    client_values.set_customer_features("c1", timestamp=ago(hours=1), **set_tier)  # type: ignore[arg-type]
    refresh.refresh_dirty()
    assert values_of("c1")["loyalty_tier"] == 3.0
    FeatureVersion.objects.filter(feature_type="customer").update(time_to_live=60)
    forget_registry()
    fill()
    assert values_of("c1")["loyalty_tier"] is None
    assert listed("customer_id", "loyalty_tier") == []


def test_pages_follow_each_other_without_a_gap_or_a_double_whatever_is_written_meanwhile() -> None:
    for number in range(7):
        make_customer(f"c{number}", page_view=number // 2, events=[make_purchase()] if number % 3 else [])
    for order in ("-engagement_score", "recency_score", "customer_id", "-customer_id", "-days_since_purchase"):
        found: list[str] = []
        cursor: str | None = None
        while True:
            asked, after = list_at(cursor, order=order, conditions=[])
            page = read_list(asked, limit=2, after=after)
            found += [row.customer_id for row in page.rows]
            cursor = page.next
            if cursor is None:
                break
        assert found == listed(order), order


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "bnVsbA", "WzEsMiwzLDRd"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidError, match="cursor"):
        list_at(cursor, order="engagement_score", conditions=[])


def test_a_cursor_of_another_order_is_refused() -> None:
    three_customers()
    asked, _ = list_at(None, order="engagement_score", conditions=[])
    page = read_list(asked, limit=1)
    with pytest.raises(InvalidError, match="same `order`"):
        list_at(page.next, order="-engagement_score", conditions=[])


@pytest.mark.parametrize(
    ("order", "where", "message"),
    [
        ("engagment_score", "", "Did you mean engagement_score"),
        ("page_views_30d", "", "page_views_30d is not listed"),
        ("customer_id", "pets>1", "There is no live feature pets"),
        ("customer_id", "engagement_score>much", "no number"),
        ("customer_id", "engagement_score>nan", "no number"),
        ("customer_id", "engagement_score ~ 1", "no condition"),
        ("customer_id", ",".join(f"engagement_score>{n}" for n in range(21)), "at most 20"),
    ],
)
def test_what_can_not_be_asked_is_refused_with_a_reason(order: str, where: str, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        customer_list(order=order, conditions=parse_conditions([where]))


def test_new_weights_sort_the_list_anew() -> None:
    make_customer("viewer", page_view=50)
    make_customer("buyer", purchase=1)
    assert listed()[0] == "viewer"
    weight_set = make_weight_set(weights={"page_view": (0.0, 100.0), "purchase": (1.0, 1.0)})
    run = weight_set_steps.activate(weight_set.pk, by=None, reason="A test")
    while rescore.rescore(run) or not runs.finish_rescore(run):
        pass
    assert listed()[0] == "buyer"
    assert_as_read("buyer")


def test_an_erased_customer_leaves_the_list_at_once() -> None:
    three_customers()
    erasure.erase_customer("high")
    assert listed() == ["middle", "low"]
    assert read_figures(customer_list()).customers == 2


def test_a_run_fills_in_what_was_there_before_the_lists_and_keeps_the_moment_a_customer_was_seen() -> None:
    three_customers()
    before = {customer_id: values_of(customer_id) for customer_id in ("low", "middle", "high")}
    for values in before.values():
        values.pop("days_since_seen")
    seen = dict(Customer.objects.values_list("pk", "last_seen_at"))
    Customer.objects.update(listed=None, listed_of=None, last_seen_at=None)
    assert listed() == []
    run = fill()
    assert (run.state, run.done) == (Run.State.DONE, 256)
    for customer_id, values in before.items():
        assert values_of(customer_id) | values == pytest.approx(values_of(customer_id), abs=1e-3)
    assert dict(Customer.objects.values_list("pk", "last_seen_at")) == seen


def test_the_lists_are_filled_in_once_and_again_where_other_features_are_listed() -> None:
    three_customers()
    fill()
    assert customer_lists.begin_filling() is None
    list_feature("page_views_30d")
    assert listed() == []
    fill()
    assert listed("-page_views_30d") == ["high", "middle", "low"]


def test_a_run_for_features_that_are_listed_no_more_is_overtaken() -> None:
    three_customers()
    old = customer_lists.begin_filling()
    list_feature("page_views_30d")
    new = customer_lists.begin_filling()
    assert old is not None
    assert new is not None
    old.refresh_from_db()
    assert old.state == Run.State.OVERTAKEN
    assert not old.chunks.exists()


def test_another_live_version_is_listed_after_it_was_filled_in() -> None:
    three_customers()
    fill()
    make_version("behavioral", "2.0", state="live", views={"kind": "count", "event_type": "page_view", "window": "9d"})
    assert listed() == []
    recompute.recompute_customers(customer_ids=["low", "middle", "high"])
    Customer.objects.update(listed=None, listed_of=None)
    fill()
    make_customer("new", page_view=99)
    assert listed() == ["high", "new", "middle", "low"]


def test_a_computation_for_an_earlier_moment_leaves_the_list_as_it_is() -> None:
    make_customer("c1", page_view=3, events=[make_purchase(timestamp=ago(hours=3))])
    before = values_of("c1")
    recompute.recompute_customers(customer_ids=["c1"], as_of=ago(hours=2))
    assert values_of("c1") == pytest.approx(before, abs=1e-4)


def test_totals_and_means_are_over_the_customers_who_have_a_value() -> None:
    three_customers()
    client_values.set_customer_features("low", feature_type="customer", version="1.0", features={"loyalty_tier": 2.0})
    asked = customer_list(conditions=parse_conditions(["page_views_30d>=0", "loyalty_tier"]))
    assert read_figures(asked).customers == 1
    asked = customer_list(conditions=parse_conditions(["page_views_30d>=0"]))
    figures = read_figures(asked)
    place = asked.names.index("page_views_30d")
    assert (figures.customers, figures.totals[place], figures.means[place]) == (3, 75.0, 25.0)


def segments_of(by: str, edges: str = "") -> dict[str, int]:
    found = read_segments(customer_list(), by=by, edges=parse_edges(edges))
    return {segment.name: segment.figures.customers for segment in found.segments}


def test_segments_are_by_value_by_range_and_by_category() -> None:
    three_customers()
    make_customer("fan", events=[make_event(metadata={"category": "jazz"}) for _ in range(2)])
    client_values.set_customer_features("low", feature_type="customer", version="1.0", features={"loyalty_tier": 2.0})
    assert segments_of("loyalty_tier") == {"2": 1, "no value": 3}
    assert segments_of("engagement_score", "0.03, 0.1") == {"below 0.03": 2, "0.03 to 0.1": 1, "0.1 and more": 1}
    assert segments_of("category") == {"no category": 3, "jazz": 1}


def test_a_feature_with_many_values_is_divided_at_its_quintiles() -> None:
    for number in range(20):
        make_customer(f"c{number:02d}", page_view=number + 1)
    assert list(segments_of("page_views_30d").values()) == [3, 4, 4, 4, 5]


def test_a_filter_that_reads_the_history_for_too_long_is_given_up_and_says_why(monkeypatch: Any) -> None:
    three_customers()
    monkeypatch.setattr("features.serving.list_pages.SECONDS_PER_ANSWER", 0.001)
    monkeypatch.setattr("features.registry.list_layout.NEWEST", "(select 1.0 from pg_sleep(1))")
    with pytest.raises(InvalidError, match="tenure_days is not listed") as refused:
        read_list(customer_list(conditions=parse_conditions(["tenure_days>0"])), limit=10)
    assert refused.value.code == "too_slow"


def test_a_name_that_is_computed_from_a_list_can_have_any_expression() -> None:
    expression = (
        "where(recency_score > 0.5, max(sqrt(cart), exp(-cart), round(cart)) / (cart - 4), min(-cart, log(cart)))"
    )
    make_definition("cart", feature_type="contextual")
    FeatureVersion.objects.get(feature_type="contextual").definitions.add(FeatureDefinition.objects.get(name="cart"))
    forget_registry()
    make_version("derived", "2.0", state="live", odd={"expression": expression})
    list_feature("odd")
    for number, cart in enumerate((-2.0, 0.0, 3.0, 4.0)):
        for purchase in ([], [make_purchase()]):
            customer_id = f"c{number}{len(purchase)}"
            client_values.set_customer_features(
                customer_id, feature_type="contextual", version="1.0", features={"cart": cart}
            )
            make_customer(customer_id, page_view=1, events=purchase)
            assert_as_read(customer_id, "odd")


def test_the_command_fills_in_the_lists_whatever_they_hold() -> None:
    three_customers()
    fill()
    Customer.objects.update(listed=[9.0] * 4)
    call_command("rebuild_lists")
    assert_as_read("high")
