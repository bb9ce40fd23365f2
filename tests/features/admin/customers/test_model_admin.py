"""Customers in the admin: the list, and the page of one."""

import re
from datetime import datetime
from html import unescape

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_redis import get_redis_connection
from pytest_django import DjangoAssertNumQueries

from features.lifecycle import weight_set_steps
from features.materialization import recompute
from features.models import Customer, WeightSet
from tests.away import redis_away
from tests.factories import (
    ago,
    make_client,
    make_customer,
    make_event,
    make_purchase,
    make_version,
    make_weight_set,
    url_of,
)
from tests.staff import log_in, seen_by, text_of

pytestmark = pytest.mark.django_db
LIST = "/admin/features/customer/"
CLAMPED = {"page_view": 100, "email_open": 50, "form_submit": 20, "purchase": 10, "login": 30}


@pytest.fixture
def viewer() -> Client:
    return log_in("viewer")


def url(customer_id: str) -> str:
    return reverse("admin:features_customer_change", args=[quote(customer_id)])


def page_of(client: Client, customer_id: str) -> str:
    """Return the text of the page, with each run of white space as one blank."""
    return text_of(client.get(url(customer_id)))


def write(customer_id: str, feature_type: str, **features: float) -> None:
    """Write values as a client does, and publish them after the commit."""
    body = {"feature_type": feature_type, "version": "1.0", "features": features}
    assert make_client("write").patch(url_of(customer_id), body).status_code == 200


def listed(client: Client, query: str = "") -> dict[str, float | None]:
    """Return customer → score, from top to bottom."""
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200
    return {row.pk: row.score for row in response.context["cl"].result_list}


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_customers_score(viewer: Client) -> None:
    make_customer("b", page_view=50)
    make_customer("a", login=30)
    assert listed(viewer) == {"a": pytest.approx(0.1), "b": pytest.approx(0.15)}


def test_a_customer_without_a_score_is_not_a_customer_with_zero(viewer: Client) -> None:
    write("written", "customer", tenure_days=3.0)
    make_customer("quiet", events=[make_event(timestamp=ago(days=40))])
    assert listed(viewer) == {"quiet": 0.0, "written": None}


def test_the_search_takes_any_part_of_an_id_in_capitals_or_not(viewer: Client) -> None:
    for customer_id in ("shop-1", "shop-2", "other", "a%b", "a_b", "axb"):
        make_customer(customer_id, login=1)
    assert list(listed(viewer, "q=shop-")) == ["shop-1", "shop-2"]
    assert list(listed(viewer, "q=HOP")) == ["shop-1", "shop-2"]
    assert list(listed(viewer, "q=a%25")) == ["a%b"]
    assert list(listed(viewer, "q=a_")) == ["a_b"]


def test_the_activity_filter_tells_active_from_quiet_customers(viewer: Client) -> None:
    make_customer("active", login=1)
    make_customer("quiet", events=[make_event(timestamp=ago(days=40))])
    assert list(listed(viewer, "activity=active")) == ["active"]
    assert list(listed(viewer, "activity=quiet")) == ["quiet"]
    assert list(listed(viewer, "activity=behind")) == []
    assert list(listed(viewer, "activity=x")) == ["active", "quiet"]


def test_the_list_costs_no_more_for_more_customers(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        make_customer(f"c{number}", login=1)
    with django_assert_max_num_queries(14):
        assert len(listed(viewer)) == 30


def test_with_redis_away_the_list_is_there(viewer: Client) -> None:
    make_customer("a", login=30)
    with redis_away():
        assert listed(viewer) == {"a": pytest.approx(0.1)}


def test_without_customers_the_list_says_how_to_get_some(viewer: Client) -> None:
    page = viewer.get(LIST).content.decode()
    assert "No customers yet" in page
    assert "load_demo" in page


@pytest.mark.parametrize("query", ["q=%00", "p=x", "activity=%00", "weight_set__exact=x", "recompute_at__isnull=1"])
def test_an_odd_address_is_no_error_page(viewer: Client, query: str) -> None:
    make_customer("a", login=1)
    assert viewer.get(f"{LIST}?{query}", follow=True).status_code == 200


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_score_and_each_event_types_part_in_it(viewer: Client) -> None:
    make_customer("a", page_view=50, login=15, email_click=3)
    page = page_of(viewer, "a")
    assert re.search(r'<data id="score" value="0\.2[0-9]*">0\.200</data>', page)
    parts = dict(re.findall(r'<th scope="row">([\w ]+)</th><td>([\d.]+)</td></tr>', page))
    assert parts == {"page view": "0.150", "login": "0.050", "score": "0.200"}
    rows = re.findall(r"</i>([\w ]+)</th> <td[^>]*>(\d+) ÷ (\d+)</td>", page)
    assert ("page view", "50", "100") in rows
    assert ("email click", "3", "20") in rows
    assert len(rows) == 6


def test_a_capped_score_says_so_and_from_what(viewer: Client) -> None:
    make_customer("a", **CLAMPED)
    page = page_of(viewer, "a")
    assert "capped, from 1.100" in page
    assert "Together they are 1.100; the score is capped at 1" in page
    assert '<data id="score" value="1.0">1.000</data>' in page


def test_a_score_that_is_not_capped_says_nothing_of_it(viewer: Client) -> None:
    make_customer("a", login=3)
    page = page_of(viewer, "a")
    assert "capped, from" not in page
    assert "Together they are" not in page


def test_the_page_shows_every_live_value_with_its_unit_and_why_one_is_missing(viewer: Client) -> None:
    make_customer("a", events=[make_purchase(amount=40.0, category="books")])
    write("a", "customer", tenure_days=12.0)
    page = page_of(viewer, "a")
    assert "<b>40.00</b>" in page
    assert "<b>12 days</b>" in page
    assert "<b>1 event</b>" in page
    assert len(re.findall(r"no value yet", page)) == 3  # loyalty_tier, cart_value, items_in_cart
    assert "rfm_score" in page
    assert "Mean of the recency, frequency and monetary scores" in page


def test_the_page_and_the_list_name_the_live_versions_weights_also_where_another_has_later_ones(viewer: Client) -> None:
    live = WeightSet.objects.get()
    other = make_version("behavioral", state="shadow").weight_sets.get()
    make_customer("c1", login=1)
    for page in (page_of(viewer, "c1"), viewer.get(LIST).content.decode()):
        assert str(live) in page
        assert str(other) not in page


def test_features_that_only_another_version_has_are_not_on_the_page(viewer: Client) -> None:
    make_version("behavioral", state="shadow", logins_7d={"event_type": "login", "window": "7d"})
    make_customer("c1", login=1)
    assert "logins_7d" not in page_of(viewer, "c1")


def test_a_feature_without_a_description_says_what_it_is_computed_from(viewer: Client) -> None:
    make_version("behavioral", state="live", logins_7d={"event_type": "login", "window": "7d"})
    make_customer("c1", login=1)
    assert "Number of login events over 7 days" in page_of(viewer, "c1")


def test_the_history_of_the_score_marks_where_other_weights_took_over(viewer: Client) -> None:
    make_customer("a", page_view=10)
    draft = make_weight_set(weights={"page_view": (0.9, 100)})
    weight_set_steps.activate(draft.pk, by=None, reason="A test")
    make_customer("a", page_view=5)
    page = page_of(viewer, "a")
    assert page.count("A mark at ") == 1
    assert f": weights #{draft.pk}</li>" in page
    assert page.count('<td class="hub-note-cell">weights #') == 2
    assert WeightSet.objects.get(state="active") == draft


def test_the_page_lists_recent_events_newest_first_and_links_to_all(viewer: Client) -> None:
    make_customer("a", events=[make_event(session_id="old", timestamp=ago(days=2)), make_event(session_id="new")])
    page = page_of(viewer, "a")
    assert page.index(">new</td>") < page.index(">old</td>")
    assert 'href="/admin/events/event/?q=a"' in page


def test_the_page_says_how_long_redis_keeps_the_values(viewer: Client) -> None:
    make_customer("a", login=1)
    assert re.search(
        r'<span class="hub-label hub-good">Cached</span>; expires in (59 min \d+ s|1 h 0 min)', page_of(viewer, "a")
    )
    get_redis_connection("default").delete("customer_features:a")
    assert "Not cached" in page_of(viewer, "a")
    assert "Cached</span>; expires in" in page_of(viewer, "a")


def test_with_redis_away_the_page_is_there_and_says_so(viewer: Client) -> None:
    make_customer("a", login=30)
    with redis_away():
        page = page_of(viewer, "a")
    assert '<span class="hub-label hub-danger">not reachable</span>' in page
    assert "from PostgreSQL" in page
    assert ">0.100</data>" in page


def test_a_customer_without_events_is_told_from_one_with_a_score_of_zero(viewer: Client) -> None:
    write("written", "contextual", cart_value=9.5)
    page = page_of(viewer, "written")
    assert "No events in the window" in page
    assert "/api/v1/events/" in page
    assert "No score has been recorded yet." in page
    assert 'id="score"' not in page
    make_customer("quiet", events=[make_event(timestamp=ago(days=40))])
    assert ">0.000</data>" in page_of(viewer, "quiet")


@pytest.mark.parametrize("customer_id", ["ü_é%\"'<b>&", "x" * 128, "_5F", "a:b?c#d", "..", "名前"])
def test_any_customer_id_has_a_page(viewer: Client, customer_id: str) -> None:
    make_customer(customer_id, login=1)
    response = viewer.get(url(customer_id))
    assert response.status_code == 200
    assert response.context["customer"].pk == customer_id
    assert "<b>&</code>" not in response.content.decode()
    assert f'href="{url(customer_id)}' in unescape(viewer.get(LIST).content.decode())


@pytest.mark.parametrize("customer_id", ["nobody", "%00", "a%00b", "x" * 200])
def test_a_customer_nobody_has_heard_of_leads_back_with_a_word(viewer: Client, customer_id: str) -> None:
    response = viewer.get(f"{LIST}{customer_id}/change/", follow=True)
    assert response.redirect_chain == [("/admin/", 302)]
    assert "doesn’t exist" in response.content.decode()


def test_the_page_changes_nothing(viewer: Client) -> None:
    make_customer("a", login=1)
    root = log_in(is_superuser=True)
    root.post(url("a"), {"customer_id": "b"})
    assert root.post(f"{LIST}a/delete/", {"post": "yes"}).status_code == 403
    assert list(Customer.objects.values_list("pk", flat=True)) == ["a"]


def test_the_page_makes_a_bounded_number_of_queries(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_customer("a", page_view=30, purchase=5)
    page_of(viewer, "a")
    with django_assert_max_num_queries(16):
        page_of(viewer, "a")


# --- Why it changed ---------------------------------------------------------------------------------------------------


def make_past(customer_id: str = "a") -> datetime:
    """Make a customer whose score was 0.15 a week ago and is 0.01 now; return the moment of the first score."""
    week_ago = ago(days=7)
    pages = [make_event(timestamp=ago(days=35, minutes=number)) for number in range(50)]
    logins = [make_event(event_type="login", timestamp=ago(days=2, minutes=number)) for number in range(3)]
    make_customer(customer_id, events=[*pages, *logins])
    recompute.recompute_customers(customer_ids=[customer_id], as_of=week_ago)
    return week_ago


def why(client: Client, **query: str) -> str:
    """Return the text of the part "Why it changed", without tags."""
    page = client.get(url("a"), query).content.decode()
    section = page.partition('id="why-it-changed"')[2].partition("</section>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", section)).split())


def test_the_page_says_why_the_score_fell_in_the_last_week(viewer: Client) -> None:
    make_past()
    text = why(viewer, before=ago(days=6).isoformat())
    assert "The score fell by 0.140 , from 0.150 on" in text
    assert "mostly through page view (50 became too old to count: 50 → 0 counted)" in text
    assert "login +0.010 3 came: 0 → 3 counted" in text
    assert "Together −0.140" in text
    assert "Nobody: both scores are under the same weight set." in text
    assert "50 events that became too old to count" in text
    assert "3 events that came" in text


def test_two_rows_of_the_history_can_be_chosen(viewer: Client) -> None:
    first = make_past()
    page = page_of(viewer, "a")
    moments = re.findall(r'type="radio" name="before" value="([^"]+)"', page)
    assert moments[-1] == first.isoformat()
    chosen = why(viewer, before=moments[-1], after=moments[0])
    assert "The score fell by 0.140" in chosen
    assert chosen == why(viewer, before=moments[0], after=moments[-1])


def test_new_weights_are_told_with_who_activated_them_and_lead_to_the_timeline(viewer: Client) -> None:
    make_customer("a", login=30)
    first = ago(seconds=0)
    new = make_weight_set(name="Logins", reason="They tell more", weights={"login": (0.4, 30)})
    person = User.objects.create_user("mary")
    weight_set_steps.activate(new.pk, **seen_by(person, new), reason="Now")
    recompute.recompute_customers(customer_ids=["a"], as_of=timezone.now())
    text = why(viewer, before=first.isoformat())
    assert f"mostly through new weights (Logins (#{new.pk}))" in text
    assert "mary They tell more" in text
    assert "login 0.1 0.4 30 30 +0.300" in text
    assert f"/weightset/{new.pk}/change/#fh-timeline" in page_of(viewer, "a")
    assert "mary" not in why(log_in_with("view_customer"), before=first.isoformat())


@pytest.mark.parametrize("moment", ["x", "\0", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "", "1000"])
def test_an_odd_moment_is_no_error_page(viewer: Client, moment: str) -> None:
    make_past()
    for query in ({"before": moment}, {"after": moment}, {"before": moment, "after": moment}):
        assert "Why it changed" in why(viewer, **query)


def log_in_with(codename: str) -> Client:
    user = User.objects.create_user(f"only-{codename}", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=codename))
    client = Client()
    client.force_login(user)
    return client
