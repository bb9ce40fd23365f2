"""Events and marks in the admin: found by index, never counted, never changed."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from events.models import Event
from featurehub.admin import large_tables
from tests.factories import ago, make_event, make_purchase, store_events
from tests.staff import log_in

LIST = "/admin/events/event/"
MARKS = "/admin/events/dirtycustomer/"


@pytest.fixture
def viewer(db: None) -> Client:
    return log_in("viewer")


def listed(client: Client, query: str = "", path: str = LIST) -> list[str]:
    """Return the customers of the rows, from top to bottom."""
    response = client.get(f"{path}?{query}")
    assert response.status_code == 200, response
    return [row.customer_id for row in response.context["cl"].result_list]


def test_the_latest_to_arrive_is_listed_first(viewer: Client) -> None:
    store_events(make_event(customer_id="a"))
    store_events(make_event(customer_id="b", timestamp=ago(days=3)))
    assert listed(viewer) == ["b", "a"]


def test_one_customers_events_are_listed_in_their_order(viewer: Client) -> None:
    store_events(make_event(customer_id="a", event_id="new"))
    store_events(make_event(customer_id="a", event_id="old", timestamp=ago(days=3)), make_event(customer_id="ab"))
    response = viewer.get(f"{LIST}?q=a")
    assert [event.event_id for event in response.context["cl"].result_list] == ["new", "old"]


def test_the_search_takes_a_whole_customer_or_event_id(viewer: Client) -> None:
    store_events(make_event(customer_id="shop-1", event_id="e-1"), make_event(customer_id="other"))
    assert listed(viewer, "q=shop-1") == ["shop-1"]
    assert listed(viewer, "q=e-1") == ["shop-1"]
    assert listed(viewer, "q=%20shop-1%20") == ["shop-1"]
    assert listed(viewer, "q=shop") == []
    assert listed(viewer, "q=SHOP-1") == []


def test_filters_narrow_the_list(viewer: Client) -> None:
    store_events(
        make_purchase(event_id="1", customer_id="a", category="books", session_id="s1", timestamp=ago(days=40)),
        make_purchase(event_id="2", customer_id="b", category="Books", timestamp=ago(days=2)),
        make_event(event_id="3", customer_id="c", timestamp=ago(days=2)),
    )
    first, last = ago(days=3).date(), ago(days=1).date()
    assert listed(viewer, "event_type__exact=purchase") == ["b", "a"]
    assert listed(viewer, "category=books") == ["a"]
    assert listed(viewer, "session=with") == ["a"]
    assert listed(viewer, "session=without") == ["c", "b"]
    assert listed(viewer, f"timestamp_from={first}&timestamp_to={last}") == ["c", "b"]
    assert listed(viewer, f"timestamp_to={first}") == ["a"]
    assert listed(viewer, f"event_type__exact=purchase&timestamp_from={first}&session=without") == ["b"]


def test_a_day_range_holds_both_of_its_days(viewer: Client) -> None:
    day = ago(days=5).replace(hour=0, minute=0, second=0, microsecond=0)
    store_events(
        make_event(customer_id="first", timestamp=day),
        make_event(customer_id="last", timestamp=day.replace(hour=23, minute=59, second=59)),
    )
    assert sorted(listed(viewer, f"timestamp_from={day.date()}&timestamp_to={day.date()}")) == ["first", "last"]


@pytest.mark.parametrize(
    "query",
    [
        "event_type__exact=%00", "category=%00", "q=%00", "session=x", "event_type__exact=nothing", "p=0", "p=x",
        "p=99999999999999999999", "timestamp_from=yesterday", "timestamp_from=2026-13-45", "timestamp_to=9999-12-31",
        "nonsense=1", "id__exact=x", "all=", "o=1.2.3", "e=1", "session_id__isnull=x",
    ],
)  # fmt: skip
def test_an_odd_address_is_no_error_page(viewer: Client, query: str) -> None:
    store_events(make_event())
    assert viewer.get(f"{LIST}?{query}", follow=True).status_code == 200


def test_the_table_is_never_counted_as_a_whole(viewer: Client) -> None:
    store_events(*(make_event() for _ in range(3)))
    for query in ("", "q=c1", "event_type__exact=page_view", "p=2"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            listed(viewer, query)
        counts = [sql for row in queries if "COUNT(*)" in (sql := row["sql"]) and "events_event" in sql]
        assert all("LIMIT" in sql for sql in counts), counts


def test_a_search_is_answered_by_the_indexes_of_ids(viewer: Client) -> None:
    store_events(*(make_event(customer_id=f"c{number % 500}") for number in range(5_000)))
    with connection.cursor() as cursor:
        cursor.execute("analyze events_event")
    with CaptureQueriesContext(connection) as queries:
        listed(viewer, "q=c7")
    [sql] = [row["sql"] for row in queries if re.search(r"FROM .events_event. WHERE .*customer_id", row["sql"])]
    with connection.cursor() as cursor:
        cursor.execute(f"explain {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Cond: ((customer_id)::text = 'c7'" in plan
    assert "Index Cond: ((event_id)::text = 'c7'" in plan


def test_an_events_page_shows_all_of_it_and_changes_nothing(viewer: Client) -> None:
    store_events(make_purchase(customer_id="a", amount=12.5, category="<b>"))
    event = Event.objects.get()
    page = viewer.get(f"{LIST}{event.pk}/change/").content.decode()
    assert "12.5" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'href="/admin/features/customer/a/change/"' in page
    for method in ("change", "delete"):
        assert log_in(is_superuser=True).post(f"{LIST}{event.pk}/{method}/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("object_id", ["0", "x", "9" * 40])
def test_an_event_that_does_not_exist_leads_back_with_a_word(viewer: Client, object_id: str) -> None:
    response = viewer.get(f"{LIST}{object_id}/change/", follow=True)
    assert response.redirect_chain
    assert "doesn’t exist" in response.content.decode()


def test_an_empty_table_says_how_to_fill_it(viewer: Client) -> None:
    page = viewer.get(LIST).content.decode()
    assert "No events yet" in page
    assert "load_demo" in page
    assert "/api/v1/events/" in page


def test_a_search_without_results_offers_the_way_back(viewer: Client) -> None:
    store_events(make_event())
    page = viewer.get(f"{LIST}?q=nobody").content.decode()
    assert "Nothing matches" in page
    assert "Show all events" in page


def test_marks_are_listed_oldest_first_and_told_apart(viewer: Client) -> None:
    store_events(make_event(customer_id="later", timestamp=ago(minutes=-3)))
    store_events(make_event(customer_id="waiting"))
    assert listed(viewer, path=MARKS) == ["waiting", "later"]
    assert listed(viewer, "due=now", MARKS) == ["waiting"]
    assert listed(viewer, "due=later", MARKS) == ["later"]


def test_an_empty_backlog_is_good_news(viewer: Client) -> None:
    assert "Nothing is waiting" in viewer.get(MARKS).content.decode()


@pytest.fixture
def committed_viewer(committed: None) -> Iterator[Client]:
    client = log_in("viewer")
    yield client
    User.objects.filter(username__startswith="staff-").delete()


def test_a_list_that_takes_too_long_is_given_up_with_a_word(
    committed_viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_events(make_event())
    monkeypatch.setattr(large_tables, "SECONDS_PER_LIST", 1)
    parameters = connection.get_connection_params()
    keys = ("host", "port", "dbname", "user", "password")
    with (
        psycopg.connect(**{key: parameters[key] for key in keys if key in parameters}) as other,
        other.cursor() as cursor,
    ):
        cursor.execute("lock table events_dirtycustomer in access exclusive mode")
        response = committed_viewer.get(MARKS)
    assert response.status_code == 200
    assert "was given up" in response.content.decode()
