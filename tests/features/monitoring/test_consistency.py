"""A check of consistency finds what was corrupted by hand, and nothing else; a repair puts it right."""

from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_redis import get_redis_connection

from events.models import DirtyCustomer
from features.lifecycle.weight_set_steps import activate
from features.materialization import refresh, rescore
from features.materialization.client_values import set_customer_features
from features.materialization.erasure import erase_customer
from features.materialization.recompute import recompute_customers
from features.models import (
    ConsistencyCheck,
    Customer,
    CustomerFeature,
    FeatureVersion,
    InconsistentCustomer,
    Publication,
    Renewal,
    Run,
)
from features.monitoring import consistency
from features.monitoring.random_customers import draw_customers
from features.online import outbox
from features.online.decay_snapshots import snapshot_words, text_of
from features.online.layout import key_of
from features.online.publish import publish
from tests.away import redis_away
from tests.factories import (
    ago,
    cached,
    forget_registry,
    make_customer,
    make_event,
    make_purchase,
    make_version,
    make_weight_set,
    rows_of,
    store_events,
)
from tests.hashes import make_versions

pytestmark = pytest.mark.django_db
Finding = tuple[str, str, str, str]
SERVED, DECAY, STORED = "Redis against history", "decay snapshot against history", "history against events"


def check_everybody() -> ConsistencyCheck:
    """Run a whole check, without the pauses between rounds."""
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    return finished(run)


def finished(run: Run) -> ConsistencyCheck:
    """Go on with the check to its end, and return it."""
    for _ in range(100):
        consistency.check_next(run)
        run.refresh_from_db()
        if run.state != Run.State.RUNNING:
            return ConsistencyCheck.objects.get(run=run)
    raise AssertionError("The check does not end.")


def found(check: ConsistencyCheck) -> dict[str, set[Finding]]:
    """Return customer → (comparison, version, feature, problem) of what was found."""
    return {
        row.customer_id: {
            (each["comparison"], each["version"], each["feature"], each["problem"]) for each in row.findings
        }
        for row in check.inconsistent.all()
    }


def make_customers() -> None:
    make_customer("a", events=[make_purchase(amount=40.0, category="shoes", timestamp=ago(days=4))], page_view=3)
    make_customer("b", login=2, email_open=1, form_submit=1)
    make_customer("quiet", events=[make_event(timestamp=ago(days=40))])
    set_customer_features("a", feature_type="contextual", version="1.0", features={"cart_value": 12.5})
    set_customer_features("only-written", feature_type="customer", version="1.0", features={"tenure_days": 7.0})
    refresh.refresh_dirty()
    publish_all()


def publish_all() -> None:
    """Publish what is in the outbox, as the sweep does."""
    Publication.objects.update(due_at=ago(seconds=1))
    while outbox.publish_overdue():
        pass


def repair(check: ConsistencyCheck) -> None:
    run = consistency.begin_repair(check)
    assert run is not None
    while consistency.repair_next(run):
        pass


def set_field(customer_id: str, field: str, text: str, *, suffix: str = "") -> None:
    get_redis_connection("default").hset(key_of(customer_id, suffix), field, text)


def corrupt_decay_snapshot(customer_id: str, *, place: int, suffix: str = "") -> None:
    """Change a number in the decay snapshot: a word of an integer by an hour, of a double by its last bits."""
    words = snapshot_words(cached(customer_id, suffix)["_behavioral:base"].encode())
    assert words is not None
    words = words.copy()
    words[place] += 3_600_000_000
    set_field(customer_id, "_behavioral:base", text_of(words).decode(), suffix=suffix)


def corrupt_history(
    customer_id: str, *, feature_type: str = "behavioral", version: str = "1.0", **features: float
) -> None:
    """Change values in the newest row of the history."""
    row = [each for each in rows_of(customer_id, feature_type) if each.version == version][-1]
    corrupt_row(row, features={**row.features, **features})


def corrupt_row(row: CustomerFeature, **fields: Any) -> None:
    """Change a row by hand, as nobody may."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute("alter table features_customerfeature disable trigger customer_feature_is_append_only")
        CustomerFeature.objects.filter(pk=row.pk).update(**fields)
        cursor.execute("alter table features_customerfeature enable trigger customer_feature_is_append_only")


def test_where_all_is_well_everybody_matches() -> None:
    make_versions()
    make_customers()
    check = check_everybody()
    assert found(check) == {}
    assert (check.compared, check.wrong, check.unsettled, check.not_cached) == (4, 0, 0, 0)
    assert check.is_everybody
    scores = [each for each in check.features if each["feature"] == "engagement_score"]
    assert {each["comparison"] for each in scores} == {"Redis against history", "history against events"}
    assert all(each["matching"] >= 3 for each in scores)


def test_a_value_that_was_corrupted_in_redis_is_found_and_repaired() -> None:
    make_customers()
    set_field("a", "engagement_score", "0.999")
    check = check_everybody()
    assert found(check) == {"a": {(SERVED, "behavioral:1.0", "engagement_score", "different")}}
    (finding,) = check.inconsistent.get().findings
    assert finding["found"] == 0.999
    before = rows_of("a")
    repair(check)
    assert cached("a")["engagement_score"] == repr(finding["expected"])
    assert rows_of("a") == before
    assert found(check_everybody()) == {}


def test_the_stamp_of_a_hash_that_is_repaired_may_be_equal_or_ahead() -> None:
    make_customers()
    moment, row, version = cached("a")["_behavioral"].split(" ")
    ahead = f"{int(moment) + 3_600_000_000:017d} {int(row) + 1_000:019d} {version}"
    set_field("a", "_behavioral", ahead)
    check = check_everybody()
    assert {(feature, problem) for _, _, feature, problem in found(check)["a"]} >= {
        ("(history row)", "different"), ("(seconds ahead)", "different"),
    }  # fmt: skip
    publish(["a"])
    assert cached("a")["_behavioral"] == ahead  # publishing alone keeps it
    repair(check)
    assert found(check_everybody()) == {}


def test_a_hash_that_is_not_there_is_no_error_and_a_field_that_is_not_there_is_one() -> None:
    make_customers()
    redis = get_redis_connection("default")
    redis.delete(key_of("a"))
    redis.hdel(key_of("b"), "login_frequency")
    redis.hdel(key_of("quiet"), "_behavioral")
    check = check_everybody()
    assert found(check) == {
        "b": {(SERVED, "behavioral:1.0", "login_frequency", "missing")},
        "quiet": {(SERVED, "behavioral:1.0", "(history row)", "missing")},
    }
    assert check.not_cached == 1
    repair(check)
    assert cached("b")["login_frequency"] == "2.0"
    assert found(check_everybody()) == {}


def test_a_value_that_nothing_gives_is_extra() -> None:
    make_customers()
    set_field("b", "_contextual", cached("a")["_contextual"])
    set_field("b", "cart_value", "99.0")
    check = check_everybody()
    assert (SERVED, "contextual:1.0", "cart_value", "extra") in found(check)["b"]
    repair(check)
    assert "cart_value" not in cached("b")
    assert found(check_everybody()) == {}


@pytest.mark.parametrize("name", ["purchase_amount_30d", "recency_score", "engagement_score"])
def test_a_value_that_was_corrupted_in_the_history_is_found_and_repaired_by_a_new_row(name: str) -> None:
    make_customers()
    corrupt_history("a", **{name: 0.123})
    check = check_everybody()
    assert (STORED, "behavioral:1.0", name, "different") in found(check)["a"]
    wrong = rows_of("a")
    repair(check)
    assert (rows_of("a")[:-1], rows_of("a")[-1].version) == (wrong, "1.0")
    assert rows_of("a")[-1].features[name] != 0.123
    assert cached("a")[name] == repr(rows_of("a")[-1].features[name])
    assert found(check_everybody()) == {}


def test_a_derived_value_that_was_corrupted_in_the_history_is_found_and_repaired() -> None:
    make_customers()
    corrupt_history("a", feature_type="derived", rfm_score=0.9)
    check = check_everybody()
    assert found(check) == {"a": {(STORED, "derived:1.0", "rfm_score", "different")}}
    repair(check)
    assert rows_of("a", "derived")[-1].features["rfm_score"] != 0.9
    assert found(check_everybody()) == {}


def test_stored_activity_that_was_corrupted_is_found_before_new_weights_are_computed_from_it() -> None:
    make_customers()
    row = rows_of("b")[-1]
    corrupt_row(row, metadata={**row.metadata, "activity": {**row.metadata["activity"], "login": 20}})
    check = check_everybody()
    assert (STORED, "behavioral:1.0", "(activity, fields off)", "different") in found(check)["b"]
    repair(check)
    assert rows_of("b")[-1].metadata["activity"]["login"] == 2
    assert found(check_everybody()) == {}


def test_events_that_nobody_computed_are_found_where_their_mark_is_lost() -> None:
    make_customers()
    store_events(make_event(customer_id="b"), make_event(customer_id="new"))
    assert found(check_everybody()) == {}  # the marks are there: the values are on their way
    DirtyCustomer.objects.all().delete()
    Customer.objects.create(pk="new")
    check = check_everybody()
    assert (STORED, "behavioral:1.0", "page_views_30d", "different") in found(check)["b"]
    assert (STORED, "behavioral:1.0", "page_views_30d", "missing") in found(check)["new"]
    repair(check)
    assert (cached("b")["page_views_30d"], cached("new")["page_views_30d"]) == ("1.0", "1.0")
    assert found(check_everybody()) == {}


@pytest.mark.parametrize(
    ("place", "feature"),
    [(2, "(history row)"), (3, "(since, seconds off)"), (4, "(last purchase, seconds off)"), (6, "monetary_score")],
)
def test_a_number_that_was_corrupted_in_a_decay_snapshot_is_found_and_repaired(place: int, feature: str) -> None:
    make_customers()
    corrupt_decay_snapshot("a", place=place)
    check = check_everybody()
    assert found(check) == {"a": {(DECAY, "behavioral:1.0", feature, "different")}}
    repair(check)
    assert found(check_everybody()) == {}


def test_a_decaying_number_that_was_corrupted_in_a_decay_snapshot_is_found() -> None:
    make_versions()
    make_customers()
    corrupt_decay_snapshot("a", place=5, suffix=":behavioral:2.0")
    assert found(check_everybody()) == {"a": {(DECAY, "behavioral:2.0", "recent_amount", "different")}}


@pytest.mark.parametrize("text", ["", "nonsense", "A" * 95 + "=", "A" * 95 + "\n", "A" * 64 + "\xff" * 16, "AAAA"])
def test_a_decay_snapshot_that_can_not_be_read_is_found_and_repaired(text: str) -> None:
    make_customers()
    set_field("a", "_behavioral:base", text)
    check = check_everybody()
    assert found(check) == {"a": {(DECAY, "behavioral:1.0", "(decay snapshot)", "missing")}}
    repair(check)
    assert found(check_everybody()) == {}


def test_a_decay_snapshot_of_an_earlier_release_is_left_to_the_next_renewal() -> None:
    make_customers()
    set_field("a", "_behavioral:base", "1769851800000000,4242354597,4711,1769851800000000,1,0.3,null")
    assert found(check_everybody()) == {}


@pytest.mark.parametrize("text", ["nonsense", "inf", "nan", "", "1e999"])
def test_a_value_that_is_no_number_does_not_stop_the_check(text: str) -> None:
    make_customers()
    for field in ("engagement_score", "_behavioral:metadata"):
        set_field("a", field, text)
    check = check_everybody()
    assert {feature for _, _, feature, _ in found(check)["a"]} == {"engagement_score", "(metadata)"}
    repair(check)
    assert found(check_everybody()) == {}


@pytest.mark.parametrize("text", ["nonsense", "0 0 1.0", "01769860800000000 000000000000000000x 1.0", "\xff"])
def test_a_stamp_that_is_no_stamp_does_not_stop_the_check(text: str) -> None:
    make_customers()
    set_field("a", "_behavioral", text)
    assert found(check_everybody()) == {"a": {(SERVED, "behavioral:1.0", "(history row)", "missing")}}


def test_values_of_versions_beside_the_live_ones_are_compared_too() -> None:
    make_versions()
    make_customers()
    set_field("a", "recent_amount", "1.0", suffix=":behavioral:2.0")
    corrupt_history("b", version="2.0", recent_views=7.0)
    check = check_everybody()
    assert (SERVED, "behavioral:2.0", "recent_amount", "different") in found(check)["a"]
    assert (STORED, "behavioral:2.0", "recent_views", "different") in found(check)["b"]
    repair(check)
    assert found(check_everybody()) == {}


# --- Nothing wrong ----------------------------------------------------------------------------------------------------


def test_a_renewal_that_has_begun_or_is_done_is_no_error() -> None:
    make_versions()
    make_customers()
    Renewal.objects.update(renewed_at=datetime.now(UTC))  # claimed, and nothing restamped yet
    assert found(check_everybody()) == {}
    Renewal.objects.update(due_at=ago(seconds=1))
    while refresh.refresh_active():
        pass
    assert found(check_everybody()) == {}


def test_what_is_committed_and_not_published_yet_is_on_its_way_until_it_is_published() -> None:
    make_customers()
    set_customer_features("a", feature_type="contextual", version="1.0", features={"items_in_cart": 3.0})
    check = check_everybody()
    assert (found(check), check.compared, check.unsettled) == ({}, 3, 1)
    publish_all()
    check = check_everybody()
    assert (found(check), check.compared, check.unsettled) == ({}, 4, 0)


def test_events_that_came_late_are_on_their_way_while_their_mark_is_open() -> None:
    make_customers()
    store_events(make_event(customer_id="b", timestamp=ago(days=3)))
    check = check_everybody()
    assert (found(check), check.unsettled) == ({}, 1)
    refresh.refresh_dirty()
    assert (found(check_everybody()), check_everybody().unsettled) == ({}, 0)


def test_customers_that_are_still_under_earlier_weights_are_on_their_way() -> None:
    make_customers()
    activate(make_weight_set(weights={"page_view": (0.9, 10)}).pk, by=None, reason="Go")
    check = check_everybody()
    assert (found(check), check.compared) == ({}, 1)  # of the other one no score is computed
    run = Run.objects.get(kind=Run.Kind.RESCORE)
    while rescore.rescore(run):
        pass
    check = check_everybody()
    assert (found(check), check.compared) == ({}, 4)


def test_a_customer_whom_an_event_has_left_is_on_the_way() -> None:
    make_customers()
    Customer.objects.filter(pk="b").update(recompute_at=ago(seconds=1))
    assert (found(check_everybody()), check_everybody().unsettled) == ({}, 1)


def test_while_everybody_is_recomputed_no_check_begins_and_nobody_is_found_wrong() -> None:
    make_customers()
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    set_field("a", "engagement_score", "0.999")
    recompute = Run.objects.create(kind=Run.Kind.RECOMPUTE)
    check = finished(run)
    assert (found(check), check.unsettled) == ({}, 1)
    assert consistency.begin_check(now=datetime.now(UTC)) is None
    Run.objects.filter(pk=recompute.pk).update(state="done")
    assert set(found(check_everybody())) == {"a"}


def test_a_version_that_is_put_aside_is_not_compared() -> None:
    make_versions()
    make_customers()
    FeatureVersion.objects.filter(number="2.0", feature_type="behavioral").update(
        put_aside_at=datetime.now(UTC), put_aside_because="A test"
    )
    forget_registry()
    store_events(make_event(customer_id="b"))
    refresh.refresh_dirty()
    assert found(check_everybody()) == {}


def test_a_switch_of_versions_is_no_error() -> None:
    make_customers()
    make_version("behavioral", state="live", logins_7d={"kind": "count", "event_type": "login", "window": "7d"})
    assert (found(check_everybody()), check_everybody().unsettled) == ({}, 3)  # nobody was computed for it yet
    recompute_customers(customer_ids=["a", "b", "quiet"])
    assert found(check_everybody()) == {}


def test_an_erased_customer_leaves_the_checks_too() -> None:
    make_customers()
    set_field("a", "engagement_score", "0.999")
    check = check_everybody()
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    erase_customer("a")
    assert InconsistentCustomer.objects.count() == 0
    assert "a" not in ConsistencyCheck.objects.get(run=run).waiting
    assert finished(run).compared == 3
    assert consistency.begin_repair(check) is None


# --- The sample -------------------------------------------------------------------------------------------------------


def test_the_sample_is_as_large_as_rate_and_confidence_ask_for() -> None:
    assert consistency.sample_size(rate=0.001, confidence=0.95) == 2_995
    assert consistency.sample_size(rate=0.01, confidence=0.99) == 459


def test_the_share_that_may_be_wrong_fits_the_size_of_the_sample() -> None:
    assert consistency.largest_share(wrong=0, compared=2_995, confidence=0.95) == pytest.approx(0.001, rel=1e-3)
    assert 0.001 < consistency.largest_share(wrong=1, compared=2_995, confidence=0.95) < 0.002
    assert consistency.largest_share(wrong=0, compared=0, confidence=0.95) == 1.0
    assert consistency.largest_share(wrong=3, compared=3, confidence=0.95) == 1.0


def test_every_customer_is_as_likely_to_be_drawn_also_on_pages_that_are_nearly_empty() -> None:
    Customer.objects.bulk_create(Customer(pk=f"c{number:04d}") for number in range(1_000))
    Customer.objects.filter(pk__gte="c0010", pk__lt="c0500").delete()
    times = Counter(each for _ in range(400) for each in draw_customers(51)[0])
    assert len(times) == 510
    expected = 400 * 51 / 510
    assert all(expected / 3 < number < expected * 2 for number in times.values())
    crowded = sum(number for each, number in times.items() if each >= "c0500")
    assert crowded == pytest.approx(400 * 51 * 500 / 510, rel=0.01)


def test_of_few_customers_everybody_is_drawn() -> None:
    make_customers()
    assert draw_customers(4) == (["a", "b", "only-written", "quiet"], True)
    customer_ids, is_everybody = draw_customers(3)
    assert (len(set(customer_ids)), is_everybody) == (3, False)


def test_without_customers_the_check_is_done_with_nothing_compared() -> None:
    check = check_everybody()
    assert (check.compared, check.is_everybody, check.run.state) == (0, True, "done")


# --- The run ----------------------------------------------------------------------------------------------------------


def test_a_check_goes_on_where_another_worker_left_it() -> None:
    make_customers()
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    assert consistency.check_next(run, limit=3) == 3
    again = consistency.begin_check(now=datetime.now(UTC))
    assert again == run
    assert finished(run).compared == 4


def test_with_the_setting_what_is_wrong_is_repaired_without_being_asked(settings: Any) -> None:
    settings.CONSISTENCY_REPAIR = True
    make_customers()
    set_field("a", "engagement_score", "0.999")
    check = check_everybody()
    run = Run.objects.get(kind=Run.Kind.REPAIR)
    assert (run.total, check.repair_run) == (1, run)
    while consistency.repair_next(run):
        pass
    run.refresh_from_db()
    assert (run.state, run.done) == ("done", 1)
    assert cached("a")["engagement_score"] != "0.999"
    assert consistency.begin_repair(check) is None


def test_a_check_that_never_ends_makes_room_for_the_next() -> None:
    make_customers()
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    Run.objects.filter(pk=run.pk).update(started_at=ago(hours=7))
    assert consistency.begin_check(now=datetime.now(UTC)) != run
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", consistency.CHECK_TOO_LONG)


def test_old_checks_are_deleted() -> None:
    check = check_everybody()
    Run.objects.filter(pk=check.run_id).update(started_at=ago(days=31))
    check_everybody()
    assert not ConsistencyCheck.objects.filter(pk=check.pk).exists()


# --- The command ------------------------------------------------------------------------------------------------------


def run_command(*arguments: str) -> str:
    out = StringIO()
    call_command("check_consistency", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_tells_what_it_found_and_fails_where_something_is_wrong() -> None:
    make_customers()
    assert run_command() == "All 4 customers were compared, and none is wrong.\n"
    set_field("a", "engagement_score", "0.999")
    with pytest.raises(CommandError, match="1 customers are wrong"):
        run_command()
    assert run_command("--repair") == "All 4 customers were compared, and 1 is wrong.\n"
    assert run_command() == "All 4 customers were compared, and none is wrong.\n"


def test_the_command_says_why_it_can_not_check() -> None:
    make_customers()
    with redis_away(), pytest.raises(CommandError, match="Redis is unavailable"):
        run_command()
    Run.objects.create(kind=Run.Kind.RECOMPUTE)
    with pytest.raises(CommandError, match="Everybody is being recomputed"):
        run_command()
