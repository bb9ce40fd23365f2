"""The admin's first page: the current state of the store."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from events.models import DirtyCustomer
from features.admin.dashboard import Tile
from features.models import Run
from tests.away import redis_away
from tests.factories import ago, make_customer, make_event, store_events
from tests.staff import log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer() -> Client:
    return log_in("viewer")


def tiles(client: Client) -> dict[str, Tile]:
    return {tile.name: tile for tile in client.get("/admin/").context["tiles"]}


def test_before_anything_is_in_there_the_page_says_how_to_begin(viewer: Client) -> None:
    page = viewer.get("/admin/").content.decode()
    assert "No data yet" in page
    assert "load_demo" in page
    assert tiles(viewer)["Customers"].number == "0"
    assert tiles(viewer)["Freshness"].note == "no active customers"


def test_customers_are_counted_with_the_active_ones_apart(viewer: Client) -> None:
    make_customer("active", login=1)
    make_customer("quiet", events=[make_event(timestamp=ago(days=40))])
    tile = tiles(viewer)["Customers"]
    assert (tile.number, tile.note) == ("2", "1 active in the last 30 days")
    assert "No data yet" not in viewer.get("/admin/").content.decode()


def test_events_of_the_last_day_are_counted_and_no_others(viewer: Client) -> None:
    store_events(make_event(), make_event(timestamp=ago(hours=23)), make_event(timestamp=ago(hours=25)))
    store_events(make_event(timestamp=ago(minutes=-3)))
    assert tiles(viewer)["Events, last 24 hours"].number == "2"


def test_a_backlog_that_grows_old_is_a_warning(viewer: Client) -> None:
    assert tiles(viewer)["Backlog"].tone == "good"
    store_events(make_event())
    assert tiles(viewer)["Backlog"].number == "1"
    DirtyCustomer.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    tile = tiles(viewer)["Backlog"]
    assert tile.tone == "warning"
    assert tile.note == "the oldest for 5 min 0 s: check that a worker is running"


def test_a_mark_that_is_due_later_does_not_wait(viewer: Client) -> None:
    store_events(make_event(timestamp=ago(minutes=-3)))
    assert tiles(viewer)["Backlog"].number == "0"


def test_redis_is_reachable_or_away(viewer: Client) -> None:
    make_customer("a", login=1)
    tile = tiles(viewer)["Redis"]
    assert (tile.number, tile.tone) == ("reachable", "good")
    with redis_away():
        tile = tiles(viewer)["Redis"]
    assert (tile.number, tile.tone) == ("not reachable", "danger")


def test_the_active_weights_are_linked(viewer: Client) -> None:
    tile = tiles(viewer)["Active weights"]
    assert tile.number.startswith("First weights")
    assert viewer.get(tile.url).status_code == 200


def test_running_runs_are_there_with_their_bars_and_others_are_not(viewer: Client) -> None:
    running = Run.objects.create(kind="recompute", total=10, done=5)
    done = Run.objects.create(kind="rescore", total=10, done=10, state="done")
    page = viewer.get("/admin/").content.decode()
    assert f'data-run="{running.pk}"' in page
    assert f'data-run="{done.pk}"' not in page


def test_the_page_costs_no_more_when_there_is_more(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        make_customer(f"c{number}", login=1)
    viewer.get("/admin/")  # fill the snapshots in memory
    with django_assert_max_num_queries(50):  # nine charts, none of them a query for each customer or minute
        assert viewer.get("/admin/").status_code == 200
