"""The sidebar marks one link as the current page: the one of the page, or of the list that it belongs to."""

import pytest
from django.test import Client

from tests.factories import make_customer
from tests.staff import log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Client:
    return log_in(is_superuser=True)


@pytest.mark.parametrize(
    ("address", "marked"),
    [
        ("/admin/", "Overview"),
        ("/admin/features/customer/", "Customers"),
        ("/admin/features/customer/c1/change/", "Customers"),
        ("/admin/features/customer/lists/", "Customer lists"),
        ("/admin/features/customerfeature/", "Feature history"),
        ("/admin/features/featuredefinition/add/", "Feature definitions"),
    ],
)
def test_one_link_of_the_sidebar_is_marked(root: Client, address: str, marked: str) -> None:
    make_customer("c1", page_view=1)
    groups = root.get(address).context["sidebar_navigation"]
    assert [item["title"] for group in groups for item in group["items"] if item["active"]] == [marked]
