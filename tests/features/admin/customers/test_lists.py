"""The page of customer lists: what is asked for is in its address, and the file has exactly what the page has."""

import csv
import io
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from featurehub.lib.csv_export import defused
from features.admin.customers.list_csv import logged_rows
from features.materialization import customer_lists
from features.models import ActivityLogEntry, FeatureDefinition
from features.serving.customer_lists import customer_list
from tests.factories import ago, forget_registry, make_customer, make_event, make_purchase
from tests.staff import log_in

pytestmark = pytest.mark.django_db
LISTS = "/admin/features/customer/lists/"
ABOVE = "feature=engagement_score&is=%3E%3D&value=0.05"


@pytest.fixture
def viewer() -> Client:
    make_customer("low", page_view=5)
    make_customer("high", page_view=50, events=[make_purchase(amount=500.0, timestamp=ago(days=3))])
    make_customer("middle", page_view=20, events=[make_purchase(timestamp=ago(days=12))])
    return log_in("viewer")


def shown(client: Client, query: str = "") -> list[str]:
    response = client.get(f"{LISTS}?{query}")
    assert response.status_code == 200
    return [row["id"] for row in response.context["customers"]]


def downloaded(client: Client, query: str = "") -> list[list[str]]:
    response = client.get(f"{LISTS}csv/?{query}")
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))


def text_of(client: Client, query: str = "") -> str:
    return client.get(f"{LISTS}?{query}", follow=True).content.decode()


def figures_of(client: Client, query: str = "") -> Any:
    """Return the context of the part with the number, the figures and the segments."""
    response = client.get(f"{LISTS}figures/?{query}")
    assert response.status_code == 200
    return response.context


def test_the_most_engaged_customers_come_first(viewer: Client) -> None:
    assert shown(viewer) == ["high", "middle", "low"]
    assert shown(viewer, "order=engagement_score&direction=asc") == ["low", "middle", "high"]
    assert shown(viewer, "order=customer_id&direction=asc") == ["high", "low", "middle"]


def test_conditions_are_kept_in_the_form_and_narrow_the_list(viewer: Client) -> None:
    query = f"{ABOVE}&feature=days_since_purchase&is=%3C%3D&value=7"
    assert shown(viewer, query) == ["high"]
    page = text_of(viewer, query)
    assert 'value="0.05"' in page
    assert figures_of(viewer, query)["all"].customers == 1
    assert shown(viewer, "feature=days_since_purchase&is=has+not&value=") == ["low"]


def test_the_file_has_exactly_what_is_filtered(viewer: Client) -> None:
    heading, *rows = downloaded(viewer, ABOVE)
    assert heading[:2] == ["customer_id", "engagement_score"]
    assert heading[-2:] == ["days_since_purchase", "days_since_seen"]
    assert [row[0] for row in rows] == shown(viewer, ABOVE) == ["high", "middle"]
    assert float(rows[0][1]) == pytest.approx(0.18)


def test_the_file_is_longer_than_a_page(viewer: Client) -> None:
    for number in range(55):
        make_customer(f"c{number:02d}", login=1)
    assert len(shown(viewer)) == 50
    assert len(downloaded(viewer)) == 1 + 58
    page = viewer.get(LISTS).context
    assert shown(viewer, page["next"]) == [row[0] for row in downloaded(viewer)[51:]]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"])
def test_no_cell_of_the_file_is_a_formula(viewer: Client, text: str) -> None:
    make_customer(text, page_view=100)
    assert [f"'{text}"] == [row[0] for row in downloaded(viewer) if row[0].endswith(text)]
    assert defused("customer-1") == "customer-1"


def test_totals_and_means_are_those_of_all_pages(viewer: Client) -> None:
    figures = dict(figures_of(viewer, "feature=page_views_30d&is=%3E&value=0")["figures"])
    assert [figures[name][-1]["text"] for name in ("Mean", "Total")] == ["25", "75"]


def test_the_list_is_divided_by_category_by_value_and_by_ranges(viewer: Client) -> None:
    make_customer("fan", events=[make_event(metadata={"category": "jazz"})])
    segments = figures_of(viewer, "by=category")["segments"]
    assert [(row["name"], row["customers"], row["share"]) for row in segments["rows"]] == [
        ("no category", "3", "75"),
        ("jazz", "1", "25"),
    ]
    segments = figures_of(viewer, "by=engagement_score&ranges=0.05&shown=totals")["segments"]
    assert [(row["name"], row["customers"]) for row in segments["rows"]] == [
        ("below 0.05", "2"),
        ("0.05 and more", "2"),
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("order=page_views_30d", "page_views_30d is not listed"),
        ("feature=engagement_score&is=%3E&value=much", "which is no number"),
        ("feature=nothing&is=has&value=", "There is no live feature nothing"),
        ("feature=engagement_score&is=like&value=1", "Choose how"),
        ("cursor=x", "The cursor is not valid"),
    ],
)
def test_what_can_not_be_shown_is_said(viewer: Client, query: str, message: str) -> None:
    assert message in text_of(viewer, query)
    assert message in figures_of(viewer, query)["error"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("by=nothing", "There is no live feature nothing"),
        ("by=engagement_score&ranges=a", "which is no number"),
    ],
)
def test_what_can_not_be_divided_is_said_and_the_list_is_shown(viewer: Client, query: str, message: str) -> None:
    assert shown(viewer, query) == ["high", "middle", "low"]
    figures = figures_of(viewer, query)
    assert message in figures["error"]
    assert figures["all"].customers == 3


def test_the_page_asks_for_the_figures_of_the_moment_it_shows(viewer: Client) -> None:
    for number in range(55):
        make_customer(f"c{number:02d}", login=1)
    query = viewer.get(LISTS).context["next"]
    page = viewer.get(f"{LISTS}?{query}").context
    assert QueryDict(page["figures_query"])["cursor"] == QueryDict(query)["cursor"]
    assert figures_of(viewer, page["figures_query"])["all"].customers == 58


def test_a_file_that_can_not_be_made_leads_back_to_the_page_with_the_reason(viewer: Client) -> None:
    response = viewer.get(f"{LISTS}csv/?feature=engagement_score&is=%3E&value=much", follow=True)
    assert response.redirect_chain
    assert "which is no number" in response.content.decode()


def test_a_download_leaves_who_filtered_what_and_how_many_customers_in_the_activity_log(viewer: Client) -> None:
    downloaded(viewer, f"{ABOVE}&order=engagement_score&direction=asc")
    entry = ActivityLogEntry.objects.get(kind="downloads")
    assert entry.person is not None
    assert entry.person.username == viewer.get(LISTS).context["user"].username
    assert entry.what == (
        "Downloaded 2 customers as CSV: Engagement score is at least 0.05; by Engagement score, lowest first."
    )
    downloaded(viewer, "feature=engagement_score&is=%3E&value=1")
    assert ActivityLogEntry.objects.filter(message__startswith="Downloaded 0 customers as CSV").count() == 1


def test_a_download_that_is_not_taken_to_its_end_is_in_the_activity_log(viewer: Client) -> None:
    person = viewer.get(LISTS).context["user"]
    rows = logged_rows(customer_list(order="-engagement_score", conditions=()), by=person, filters="everybody")
    assert next(rows).customer_id == "high"
    [begun] = ActivityLogEntry.objects.filter(kind="downloads")
    assert (begun.person, begun.what) == (person, "Began to download the list as CSV: everybody.")
    rows.close()
    [broken_off] = ActivityLogEntry.objects.filter(kind="downloads")
    assert broken_off.what == "The download broke off after at most 1 customer: everybody."


def test_the_page_says_that_the_lists_are_being_filled_in(viewer: Client) -> None:
    run = customer_lists.begin_filling()
    assert run is not None
    assert "being filled in: 0 % done" in text_of(viewer)
    while customer_lists.fill_next(run):
        pass
    assert "being filled in" not in text_of(viewer)


def test_the_place_of_a_feature_is_edited_and_taken_once(db: None) -> None:
    client = log_in("operator")
    definition = FeatureDefinition.objects.get(name="page_views_30d")
    address = f"/admin/features/featuredefinition/{definition.pk}/change/"
    fields: dict[str, Any] = {"description": "d", "owner": "", "unit": "", "default": "0", "tags": ""}
    assert b"already" in client.post(address, {**fields, "list_place": "1"}).content
    assert b"less than or equal to 8" in client.post(address, {**fields, "list_place": "9"}).content
    assert client.post(address, {**fields, "list_place": "6"}).status_code == 302
    forget_registry()
    definition.refresh_from_db()
    assert definition.list_place == 6


def test_nobody_without_the_permission_sees_a_list(db: None) -> None:
    nobody = log_in()
    assert nobody.get(LISTS).status_code == 403
    assert nobody.get(f"{LISTS}csv/").status_code == 403
    assert nobody.get(f"{LISTS}figures/").status_code == 403
