"""The demo data: a real log, shifted to now, and what is generated around it."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import chain
from pathlib import Path

import pytest
from django.core.management import call_command
from msgspec.structs import replace
from pytest_django import Settings

from events.event_types import EVENT_TYPES
from events.models import DirtyCustomer, Event
from events.validation import NewEvent, check_all
from featurehub.lib.progress import Progress
from features.demo.behaviour import events_of
from features.demo.loading import WEEKS_OF_HISTORY, generate, history_left, summarise
from features.demo.purchases import LOG, purchases_by_customer
from features.materialization import recompute
from features.materialization.recompute import recompute_customers
from features.models import Customer, CustomerFeature
from tests.factories import cached, make_event, rows_of, store_events

MASTER = Path(__file__).parents[4] / "shared/data/cdnow_master.txt"
NOW = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def events() -> list[NewEvent]:
    return generate(now=NOW)


def test_the_log_is_one_in_ten_customers_with_all_they_bought() -> None:
    purchases = list(chain.from_iterable(purchases_by_customer().values()))
    assert (len(purchases_by_customer()), len(purchases)) == (2_357, 7_195)
    assert min(purchase.days_ago for purchase in purchases) == 0
    # Identical lines are separate purchases, and some purchases were free.
    assert max(Counter(purchases).values()) > 1
    assert any(purchase.amount == 0 for purchase in purchases)


@pytest.mark.skipif(not MASTER.exists(), reason="the whole CDNOW log is not at ../shared/data/cdnow_master.txt")
def test_the_log_is_unchanged_lines_of_the_published_one() -> None:
    lines = MASTER.read_bytes().splitlines()
    assert LOG.read_bytes().splitlines() == [lines[0], *(line for line in lines[1:] if int(line.split()[0]) % 10 == 8)]


def test_what_is_generated_is_the_same_every_time(events: list[NewEvent]) -> None:
    later = generate(now=NOW + timedelta(days=3))
    assert [replace(event, timestamp=event.timestamp - timedelta(days=3)) for event in later] == events


def test_every_event_could_have_been_sent_by_a_client(db: None, events: list[NewEvent]) -> None:
    check_all(events, now=NOW)
    assert all(event.timestamp <= NOW for event in events)
    assert len({event.event_id for event in events}) == len(events)
    assert {event.event_type for event in events} == set(EVENT_TYPES)


def test_purchases_are_those_of_the_log(events: list[NewEvent]) -> None:
    generated = Counter(
        (event.customer_id, (NOW - event.timestamp) // timedelta(days=1), event.metadata["items"], event.amount)
        for event in events
        if event.event_type == "purchase"
    )
    assert generated == Counter(
        (purchase.customer_id, purchase.days_ago, purchase.items, purchase.amount)
        for purchase in chain.from_iterable(purchases_by_customer().values())
    )


def test_a_purchase_ends_a_session_of_page_views(events: list[NewEvent]) -> None:
    sessions: dict[str, list[NewEvent]] = {}
    for event in events:
        if event.session_id is not None:
            sessions.setdefault(event.session_id, []).append(event)
    buying = [session for session in sessions.values() if any(event.event_type == "purchase" for event in session)]
    assert len(buying) > 7_000
    for session in buying:
        assert {event.customer_id for event in session} == {session[0].customer_id}
        assert any(event.event_type == "page_view" for event in session)
        assert max(session, key=lambda event: event.timestamp).event_type == "purchase"


def test_nothing_older_than_the_retention_is_generated(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 60
    events = generate(now=NOW)
    assert min(event.timestamp for event in events) >= NOW - timedelta(days=60)
    assert len(events) > 10_000


def test_customers_do_not_depend_on_each_other(events: list[NewEvent]) -> None:
    purchases = list(purchases_by_customer().values())
    alone = list(events_of(purchases[100], now=NOW))
    assert alone == [event for event in events if event.customer_id == purchases[100][0].customer_id]


def test_the_first_start_ends_with_a_store_that_has_something_to_show(
    db: None, settings: Settings, tmp_path: Path
) -> None:
    settings.LOCAL_DIR = tmp_path
    out = StringIO()
    call_command("bootstrap", stdout=out)
    loaded = summarise()
    assert loaded is not None
    assert (loaded.customers, loaded.purchases) == (2_357, 7_195)
    assert f"{loaded.events:,} events" in out.getvalue()
    assert loaded.example_id in out.getvalue()
    assert 300 <= loaded.active_customers <= 900
    newest = {row.customer_id: row.features for row in CustomerFeature.objects.order_by("timestamp", "id")
              if row.feature_type == "behavioral"}  # fmt: skip
    scores = [values["engagement_score"] for values in newest.values() if values["page_views_30d"]]
    spread = Counter(min(int(score * 10), 9) for score in scores)
    assert all(spread[tenth] >= 3 for tenth in range(10)), spread
    assert 1 <= sum(score == 1 for score in scores) <= len(scores) / 10
    for name in ("conversion_rate", "recency_score", "session_duration", "category_preferences"):
        assert len({round(values[name], 3) for values in newest.values()}) > 50, name
    assert cached(loaded.example_id)["engagement_score"] == repr(loaded.example_score)
    assert WEEKS_OF_HISTORY / 2 < len(rows_of(loaded.example_id)) <= WEEKS_OF_HISTORY + 1
    assert not DirtyCustomer.objects.exists()
    assert Customer.objects.filter(computed_at__isnull=False).count() == 2_357

    events, rows, again = Event.objects.count(), CustomerFeature.objects.count(), StringIO()
    call_command("load_demo", stdout=again)
    assert "already loaded" in again.getvalue()
    assert (Event.objects.count(), CustomerFeature.objects.count()) == (events, rows)


class Killed(BaseException):
    """An exception in place of a SIGKILL: no code handles it."""


def test_a_first_start_that_was_killed_goes_on_where_it_was(
    db: None, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOCAL_DIR = tmp_path
    computed: list[tuple[datetime, str]] = []
    recompute_them = recompute_customers

    def recompute_and_die_once(*, customer_ids: Sequence[str], as_of: datetime, progress: Progress) -> None:
        recompute_them(customer_ids=customer_ids, as_of=as_of, progress=progress)
        computed.append((as_of, customer_ids[0]))
        if len(computed) == 5:
            raise Killed

    monkeypatch.setattr(recompute, "recompute_customers", recompute_and_die_once)
    with pytest.raises(Killed):
        call_command("bootstrap", stdout=StringIO())
    events = Event.objects.count()
    call_command("bootstrap", stdout=StringIO())

    assert Event.objects.count() == events
    assert computed == sorted(set(computed))
    assert len({moment for moment, _ in computed}) == WEEKS_OF_HISTORY
    assert history_left() == []
    loaded = summarise()
    assert loaded is not None
    assert WEEKS_OF_HISTORY / 2 < len(rows_of(loaded.example_id)) <= WEEKS_OF_HISTORY + 1
    assert Customer.objects.filter(computed_at__isnull=False).count() == loaded.customers


def test_nothing_of_the_demo_data_is_there_among_other_events(db: None) -> None:
    store_events(make_event(event_id="demonstration"))
    assert summarise() is None
