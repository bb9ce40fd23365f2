"""What every page of the admin shares: refusals in its dress, its links, names of things, and a menu for each role."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_customer
from tests.staff import log_in

pytestmark = pytest.mark.django_db


def text_of(response: Any) -> str:
    """Return the page's text without tags, with single blanks."""
    without_scripts = re.sub(r"<script.*?</script>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"""<(?:"[^"]*"|'[^']*'|[^'">])*>""", " ", without_scripts).split())


def menu_of(client: Client) -> list[str]:
    """Return the titles of the links in the sidebar."""
    groups = client.get("/admin/password_change/").context["sidebar_navigation"]
    return [str(item["title"]) for group in groups for item in group["items"] if item["has_permission"]]


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_whoever_is_logged_in_goes_from_the_login_page_to_the_first_page() -> None:
    viewer = log_in("viewer")
    assert viewer.get("/admin/login/").headers["Location"] == "/admin/"
    assert Client().get("/admin/login/").status_code == 200


def test_the_login_page_alone_leads_to_the_first_page_after_the_login(django_user_model: Any) -> None:
    django_user_model.objects.create_superuser("root", password="a long password of ours")
    sent = {"username": "root", "password": "a long password of ours"}
    assert Client().post("/admin/login/", sent).headers["Location"] == "/admin/"


@pytest.mark.parametrize("address", ["/admin/nothing/", "/admin/features/weightset/99999/step/approve/", "/nothing"])
def test_a_page_that_is_not_there_is_said_in_the_admins_dress(address: str) -> None:
    page = log_in("marketer").get(address)
    assert page.status_code == 404
    assert "There is no such page" in text_of(page)
    assert 'href="/admin/features/weightset/"' in page.content.decode()  # the menu


def test_a_page_that_is_not_there_shows_strangers_no_menu() -> None:
    page = Client().get("/nothing")
    assert page.status_code == 404
    assert "There is no such page" in text_of(page)
    assert "/admin/features/" not in page.content.decode()


def test_a_page_that_a_role_may_not_see_is_refused_in_the_admins_dress() -> None:
    page = log_in("viewer").get("/admin/access/apikey/add/")
    assert page.status_code == 403
    assert "You may not do this" in text_of(page)
    assert 'href="/admin/features/customer/"' in page.content.decode()


def test_a_form_without_its_token_is_refused_with_what_to_do() -> None:
    viewer = log_in("viewer")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = viewer.cookies
    page = strict.post("/admin/password_change/", {})
    assert page.status_code == 403
    assert "Reload the page" in text_of(page)


# --- Links and names --------------------------------------------------------------------------------------------------


def test_no_link_of_the_account_leads_back_to_the_page_it_is_on() -> None:
    page = log_in("viewer").get("/admin/").content.decode()
    assert "View site" not in page
    assert f'href="{reverse("docs")}"' in page
    assert f'href="{reverse("admin:password_change")}"' in page


def test_the_login_page_does_not_offer_to_return_to_itself() -> None:
    assert "Return to site" not in Client().get("/admin/login/").content.decode()


def test_breadcrumbs_keep_ids_as_they_are_written() -> None:
    make_customer("anna-lower", page_view=1)
    page = log_in("viewer").get("/admin/features/customer/anna-lower/change/")
    assert "anna-lower" in text_of(page).partition("chevron_right")[2].partition("Engagement score of")[0]
    assert "Anna-lower" not in page.content.decode()


def test_a_page_beyond_the_last_is_not_an_empty_table() -> None:
    make_customer("c1", page_view=1)
    page = text_of(log_in("viewer").get("/admin/features/customer/?p=7"))
    assert "No customers yet" not in page
    assert "This page is beyond the last one" in page


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/admin/events/dirtycustomer/", "Backlog"),
        ("/admin/auth/group/", "Roles"),
        ("/admin/features/customerfeature/", "Feature history"),
        ("/admin/", "Overview"),
    ],
)
def test_a_thing_has_one_name(address: str, name: str) -> None:
    page = text_of(log_in(is_superuser=True).get(address))
    assert name in page.partition("chevron_right")[2] or name in page
    for other in (
        "Dirty mark",
        "dirty mark",
        "Groups",
        "Customer features",
        "customer features",
        " to change",
        " to view",
    ):
        assert other not in page, other


def test_a_user_has_roles_and_no_groups() -> None:
    root = log_in(is_superuser=True)
    page = text_of(root.get("/admin/auth/user/add/")) + text_of(root.get("/admin/auth/user/"))
    assert not re.search(r"\bgroups?\b", page.replace("Customers group", ""), flags=re.IGNORECASE)  # the icon's name


# --- The menu ---------------------------------------------------------------------------------------------------------


def test_the_menu_is_fitted_to_the_role() -> None:
    marketer, operator = menu_of(log_in("marketer")), menu_of(log_in("operator"))
    assert {"Overview", "Customers", "Weight sets"} <= set(marketer)
    assert not {"Periodic tasks", "Intervals", "Crontabs", "API keys", "Backlog", "Users", "Locked logins"} & set(
        marketer
    )
    assert {"Periodic tasks", "API keys", "Backlog", "Locked logins"} <= set(operator)
    assert "Users" in menu_of(log_in(is_superuser=True))
    assert "Users" not in operator


def test_what_is_not_in_the_menu_can_still_be_seen() -> None:
    assert log_in("viewer").get("/admin/events/dirtycustomer/").status_code == 200


# --- People -----------------------------------------------------------------------------------------------------------


def test_permissions_of_a_role_are_checkboxes_by_what_they_are_about() -> None:
    page = log_in(is_superuser=True).get("/admin/auth/group/add/").content.decode()
    assert 'type="checkbox" name="permissions"' in page
    assert not re.search(r'<select[^>]*name="permissions"', page)
    assert "Weight sets" in page
    assert "content type" not in page


def test_whoever_may_only_look_sees_no_part_of_a_password_hash(django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("anna", password="a long password of ours")
    page = text_of(log_in("viewer").get(f"/admin/auth/user/{user.pk}/change/"))
    assert "anna" in page
    for part in ("pbkdf2", "salt", "iterations", "algorithm", user.password[-12:]):
        assert part not in page.lower()
