"""The past of a version: it is computed day by day, and what is not computed is said so."""

from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import call_command

from featurehub.lib.errors import ConflictError, FeatureHubError, InvalidError
from features.lifecycle import drafts, version_steps
from features.materialization import backfill, recompute
from features.models import ComputedRange, CustomerFeature, FeatureVersion, Run
from features.offline.as_of import Entity
from features.registry.snapshot import registry_snapshot
from features.registry.weight_sets import active_set
from features.serving.point_in_time import TrainingRow, as_of_join
from tests.factories import ago, forget_registry, make_event, make_purchase, make_version, rows_of, store_events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("within_an_hour")]
LOGINS = {"event_type": "login", "window": "7d"}


def date_of(days_ago: int) -> date:
    """Return a day counted from today: not from the one on which the tests were collected."""
    return datetime.now(UTC).date() - timedelta(days=days_ago)


def midnight(days_ago: int) -> datetime:
    return datetime.combine(date_of(days_ago), time.min, tzinfo=UTC)


@pytest.fixture
def customers() -> None:
    """Store logins on each of the last 12 days of c1, and a purchase of c2 five days ago; both are computed now."""
    logins = [make_event(customer_id="c1", event_type="login", timestamp=midnight(day)) for day in range(1, 13)]
    store_events(*logins, make_purchase(customer_id="c2", timestamp=midnight(5) + timedelta(hours=6)))
    recompute.recompute_customers(customer_ids=["c1", "c2"])


def into_shadow(*, days: int | None = 10, feature_type: str = "behavioral", **definitions: Any) -> FeatureVersion:
    """Put a draft 2.0 into shadow, and compute its first values. Its past begins so many days ago, or is left out."""
    version = make_version(feature_type, **definitions)
    since = None if days is None else date_of(days)
    run = version_steps.put_into_shadow(version.pk, by=None, reason="Try", backfill_since=since)
    assert run is not None
    forget_registry()
    while recompute.load_chunk(run):
        pass
    forget_registry()
    return version


def backfill_of(version: FeatureVersion) -> Run:
    return Run.objects.filter(kind=Run.Kind.BACKFILL, version=version).latest("pk")


def finish(run: Run) -> None:
    while backfill.backfill_next(run):
        pass
    forget_registry()


def read(*moments: datetime, name: str = "logins_7d", customer_id: str = "c1", **options: Any) -> list[TrainingRow]:
    entities = [Entity(customer_id, moment) for moment in moments]
    return as_of_join(entities, names=[name], **{"versions": ["behavioral:2.0"], **options})


def values(rows: list[TrainingRow]) -> list[float | str]:
    """Return each row's value, or why there is none."""
    return [next(iter(row.missing.values()), *row.features.values()) for row in rows]


def test_a_version_gets_a_value_for_each_day_of_its_past(customers: None) -> None:
    version = into_shadow(logins_7d=LOGINS)
    assert values(read(midnight(3), ago())) == ["not_computed", 6.0]
    run = backfill_of(version)
    assert (run.state, run.total) == (Run.State.RUNNING, 2 * 11)
    finish(run)
    run.refresh_from_db()
    assert (run.state, run.done) == (Run.State.DONE, run.total)
    assert values(read(midnight(11), midnight(10), midnight(9), midnight(3), midnight(3) + timedelta(hours=20))) == [
        "not_computed", 3.0, 4.0, 8.0, 8.0,
    ]  # fmt: skip
    assert values(read(ago())) == [6.0]
    assert [row.metadata["weight_set"] for row in rows_of("c1") if row.version == "2.0"][-1] == active_set("2.0").pk


def test_a_customer_has_no_value_before_anybody_knew_of_it(customers: None) -> None:
    finish(backfill_of(into_shadow(logins_7d=LOGINS)))
    assert values(read(midnight(8), midnight(4), customer_id="c2")) == ["no_value", 0.0]
    assert values(read(midnight(8), customer_id="nobody")) == ["no_value"]


def test_the_past_of_the_other_versions_is_left_as_it_is(customers: None) -> None:
    before = [row.pk for row in rows_of("c1") if row.version == "1.0"]
    finish(backfill_of(into_shadow(logins_7d=LOGINS)))
    assert [row.pk for row in rows_of("c1") if row.version == "1.0"] == before


def test_readers_get_what_they_got_while_the_past_is_computed(customers: None) -> None:
    version = into_shadow(logins_7d=LOGINS)
    newest = CustomerFeature.objects.filter(version="2.0").order_by("-timestamp", "-pk").first()
    finish(backfill_of(version))
    assert CustomerFeature.objects.filter(version="2.0").order_by("-timestamp", "-pk").first() == newest


def test_days_that_are_still_to_come_are_not_answered_with_an_earlier_day(customers: None) -> None:
    run = backfill_of(into_shadow(logins_7d=LOGINS))
    for _ in range(4):  # two days
        assert backfill.backfill_next(run)
    forget_registry()
    assert CustomerFeature.objects.filter(version="2.0", timestamp__lt=midnight(8)).exists()
    assert values(read(midnight(10), midnight(3))) == ["not_computed", "not_computed"]
    finish(run)
    assert values(read(midnight(10), midnight(3))) == [3.0, 8.0]


def test_a_worker_that_dies_leaves_its_day_to_the_next_one(customers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = backfill_of(into_shadow(logins_7d=LOGINS))
    assert backfill.backfill_next(run)
    with monkeypatch.context() as patched:
        patched.setattr(backfill, "append_past", die)
        with pytest.raises(KeyboardInterrupt):
            backfill.backfill_next(run)
    finish(Run.objects.get(pk=run.pk))
    assert values(read(midnight(10), midnight(3))) == [3.0, 8.0]
    rows = CustomerFeature.objects.filter(version="2.0", customer_id="c1", timestamp=midnight(10))
    assert rows.count() == 1


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_what_was_known_before_the_past_was_computed_does_not_have_it(customers: None) -> None:
    version = into_shadow(logins_7d=LOGINS)
    before = ago()
    finish(backfill_of(version))
    assert values(read(midnight(3), known_at=before)) == ["not_computed"]
    assert values(read(midnight(3), known_at=ago())) == [8.0]


def test_a_derived_version_is_backfilled_from_what_it_is_computed_from(customers: None) -> None:
    version = into_shadow(feature_type="derived", bought={"expression": "purchases_30d * 10"})
    finish(backfill_of(version))
    asked = {"name": "bought", "customer_id": "c2", "versions": ["derived:2.0"]}
    assert values(read(midnight(11), midnight(7), midnight(4), **asked)) == ["not_computed", "no_value", 10.0]


def test_the_past_of_a_derived_version_has_a_row_where_a_value_came_or_vanished(customers: None) -> None:
    logins = [make_event(customer_id="c3", event_type="login", timestamp=at) for at in (midnight(35), ago(hours=1))]
    store_events(*logins)
    recompute.recompute_customers(customer_ids=["c3"])
    version = into_shadow(feature_type="derived", rarity={"expression": "1 / login_frequency"})
    finish(backfill_of(version))
    rows = CustomerFeature.objects.filter(customer_id="c3", feature_type="derived", version="2.0").order_by("timestamp")
    past = [(row.timestamp, row.features.get("rarity")) for row in rows if row.timestamp < midnight(0)]
    assert past == [(midnight(10), 1.0), (midnight(4), None)]


def test_the_past_can_be_computed_later_and_farther_back(customers: None) -> None:
    version = into_shadow(days=None, logins_7d=LOGINS)
    assert not Run.objects.filter(kind=Run.Kind.BACKFILL).exists()
    finish(version_steps.backfill(version.pk, since=date_of(2), by=None, reason="For training"))
    assert values(read(midnight(3), midnight(2))) == ["not_computed", 8.0]
    assert version.steps.last().reason == f"Backfilling its history from {date_of(2)} on. For training"  # type: ignore[union-attr]
    run = version_steps.backfill(version.pk, since=date_of(4), by=None, reason="More")
    with pytest.raises(ConflictError, match="being computed already"):
        version_steps.backfill(version.pk, since=date_of(4), by=None, reason="More")
    assert run.total == 4
    finish(run)
    assert values(read(midnight(4), midnight(3), midnight(2), ago())) == [8.0, 8.0, 8.0, 6.0]


@pytest.mark.parametrize(
    ("days_ago", "sentence"), [(-1, "choose an earlier day"), (90, "The earliest day is"), (400, "The earliest day is")]
)
def test_a_day_is_chosen_that_can_be_computed(customers: None, days_ago: int, sentence: str) -> None:
    version = make_version("behavioral")
    with pytest.raises(InvalidError, match=sentence) as caught:
        version_steps.put_into_shadow(version.pk, by=None, reason="Try", backfill_since=date_of(days_ago))
    assert caught.value.attr == "backfill_since"
    version.refresh_from_db()
    assert version.state == "draft"


def test_a_day_whose_events_are_gone_is_refused(customers: None, settings: Any) -> None:
    settings.EVENT_RETENTION_DAYS = 60
    version = make_version("behavioral", logins_50d={"event_type": "login", "window": "50d"})
    with pytest.raises(InvalidError, match=f"The earliest day is {date_of(9)}"):
        version_steps.put_into_shadow(version.pk, by=None, reason="Try", backfill_since=date_of(10))


def test_the_first_versions_have_no_past_to_compute(customers: None) -> None:
    first = FeatureVersion.objects.get(feature_type="behavioral", number="1.0")
    with pytest.raises(ConflictError, match="has values from the beginning"):
        version_steps.backfill(first.pk, since=date_of(10), by=None, reason="Try")
    assert values(read(midnight(11), name="purchases_30d", versions=["1.0"])) == ["no_value"]


def test_a_version_that_is_retired_meanwhile_is_not_backfilled_to_the_end(customers: None) -> None:
    version = into_shadow(logins_7d=LOGINS)
    run = backfill_of(version)
    assert backfill.backfill_next(run)
    version_steps.retire(version.pk, by=None, reason="A mistake")
    with pytest.raises(FeatureHubError, match="is not computed any more"):
        backfill.backfill_next(run)
    run.refresh_from_db()
    assert (run.state, run.chunks.count()) == (Run.State.FAILED, 0)


def test_a_version_may_go_live_while_its_past_is_computed(customers: None) -> None:
    version = into_shadow(logins_7d=LOGINS)
    assert version_steps.go_live(version.pk, by=None, reason="Go") is None
    finish(backfill_of(version))
    assert values(read(midnight(3))) == [8.0]


# --- Training sets and the command ------------------------------------------------------------------------------------


def build(folder: Path, *labels: str, **options: Any) -> tuple[dict[str, list[Any]], str]:
    """Return the columns of a training set of 2.0's logins, and what the command says."""
    (folder / "labels.csv").write_text("\n".join(["customer_id,timestamp", *labels]) + "\n")
    said, out = StringIO(), folder / "set.parquet"
    call_command(
        "build_training_set", folder / "labels.csv", out=out, verbosity=0, names="logins_7d",
        versions=["behavioral:2.0"], stdout=said, **options,
    )  # fmt: skip
    return pq.read_table(out).to_pydict(), said.getvalue()


def test_a_training_set_says_which_rows_are_not_computed_and_how_to_backfill_them(
    customers: None, tmp_path: Path
) -> None:
    version = into_shadow(days=None, logins_7d=LOGINS)
    labels = [f"{name},{midnight(day).isoformat()}" for name in ("c1", "nobody") for day in (3, 2, 1)]
    table, said = build(tmp_path, *labels, f"c1,{ago().isoformat()}")
    assert table["logins_7d"] == [None] * 6 + [6.0]
    assert list(table) == ["customer_id", "timestamp", "logins_7d"]
    assert "6 rows have no values of behavioral:2.0, as nobody's were computed for their moments" in said
    since = ComputedRange.objects.get(version=version).since
    command = f"--as-of {midnight(3):%Y-%m-%dT00:00:00Z} --until {since:%Y-%m-%dT%H:%M:%SZ}"
    assert f"manage.py recompute {command}, and build" in said

    call_command("recompute", *command.split(), stdout=StringIO())
    forget_registry()
    table, said = build(tmp_path, *labels, f"c1,{ago().isoformat()}")
    assert table["logins_7d"] == [8.0, 8.0, 8.0, None, None, None, 6.0]
    assert "rows have no values" not in said
    assert version_steps.first_computed(version) == midnight(3)


def test_a_training_set_does_not_have_the_days_before_those_that_are_to_come(customers: None, tmp_path: Path) -> None:
    run = backfill_of(into_shadow(logins_7d=LOGINS))
    for _ in range(4):
        assert backfill.backfill_next(run)
    forget_registry()
    table, said = build(tmp_path, f"c1,{midnight(3).isoformat()}")
    assert (table["logins_7d"], "1 rows have no values" in said) == ([None], True)
    finish(run)
    assert build(tmp_path, f"c1,{midnight(3).isoformat()}")[0]["logins_7d"] == [8.0]


def test_reads_at_a_moment_make_no_query_more_for_what_is_not_computed(
    customers: None, django_assert_num_queries: Any
) -> None:
    into_shadow(logins_7d=LOGINS)
    registry_snapshot.get()
    with django_assert_num_queries(1):
        rows = read(*(midnight(day) for day in range(10)))
    assert values(rows)[1:] == ["not_computed"] * 9


def test_a_draft_that_is_discarded_had_no_past(customers: None) -> None:
    version = make_version("behavioral")
    drafts.discard(version.pk, by=None, reason="No")
    assert not ComputedRange.objects.exists()
