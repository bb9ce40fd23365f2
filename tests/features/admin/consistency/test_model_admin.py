"""The pages of checks of consistency: their history, what was found, and the repair."""

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django_redis import get_redis_connection

from features.models import ConsistencyCheck, Run
from features.monitoring import consistency
from features.online.layout import key_of
from tests.factories import cached, make_customer
from tests.staff import log_in

pytestmark = pytest.mark.django_db
LIST = "/admin/features/consistencycheck/"


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def page_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def make_check(*, corrupted: bool = True) -> ConsistencyCheck:
    """Make a check of two customers, of whom one is wrong in Redis."""
    for customer_id in ("a", "b"):
        make_customer(customer_id, login=1)
    if corrupted:
        get_redis_connection("default").hset(key_of("a"), "login_frequency", "5.0")
    run = consistency.begin_check(now=datetime.now(UTC))
    assert run is not None
    while consistency.check_next(run):
        pass
    return ConsistencyCheck.objects.get(run=run)


def test_before_the_first_check_the_page_says_when_it_comes(operator: Client) -> None:
    page = page_of(operator, LIST)
    assert "No check yet" in page
    assert "2,995 random customers" in page
    assert "data-chart" not in page


def test_the_list_shows_every_check_and_a_picture(operator: Client) -> None:
    make_check(corrupted=False)
    make_check()
    page = page_of(operator, LIST)
    assert "All 2 customers were compared, and none is wrong." in page
    assert "All 2 customers were compared, and 1 is wrong." in page
    assert page.count('<td class="hub-note-cell">All 2 customers were compared') == 2


def test_a_sample_is_told_with_its_confidence(operator: Client) -> None:
    run = Run.objects.create(kind="check", state="done", total=2_995, done=2_995)
    ConsistencyCheck.objects.create(
        run=run, rate=0.001, confidence=0.95, is_everybody=False, compared=2_990, unsettled=5, not_cached=3
    )
    check = page_of(operator, f"{LIST}{run.consistency_check.pk}/change/")
    assert (
        "Of 2,990 random customers none is wrong. With 95 % confidence, fewer than 0.1 % of all customers are wrong."
        in check
    )
    assert "5 more could not be compared" in check
    assert "no values of 3 of them" in check


def test_the_page_of_a_check_shows_what_was_found_and_repairs_it(operator: Client) -> None:
    check = make_check()
    address = f"{LIST}{check.pk}/change/"
    page = page_of(operator, address)
    assert (
        "Redis against history: <code>login_frequency</code> of behavioral:1.0 is different, 5.0 in place of 1.0"
        in page
    )
    answer = operator.post(f"{LIST}{check.pk}/repair/")
    assert (answer.status_code, answer["Location"]) == (302, address)
    assert LogEntry.objects.get(object_id=check.pk).change_message == "Repair of 1 customers begun."
    run = Run.objects.get(kind="repair")
    while consistency.repair_next(run):
        pass
    assert cached("a")["login_frequency"] == "1.0"
    page = page_of(operator, address)
    assert "1 customer repaired" in page
    assert "Repair these customers" not in page


def test_a_check_can_be_begun_by_hand_and_goes_to_its_page(operator: Client) -> None:
    answer = operator.post(f"{LIST}begin/")
    check = ConsistencyCheck.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"{LIST}{check.pk}/change/")
    assert "compared so far" in page_of(operator, f"{LIST}{check.pk}/change/")
    assert "data-run" in page_of(operator, LIST)
    Run.objects.create(kind="recompute")
    check.run.delete()
    assert "All customers are being recomputed" in operator.post(f"{LIST}begin/", follow=True).content.decode()


def test_viewers_see_and_do_nothing() -> None:
    viewer = log_in("viewer")
    check = make_check()
    assert "Check now" not in page_of(viewer, LIST)
    assert "Repair these customers" not in page_of(viewer, f"{LIST}{check.pk}/change/")
    assert viewer.post(f"{LIST}begin/").status_code == 403
    assert viewer.post(f"{LIST}{check.pk}/repair/").status_code == 403
    assert log_in().get(LIST).status_code == 403
    assert not Run.objects.filter(kind="repair").exists()


def test_nothing_begins_on_get(operator: Client) -> None:
    check = make_check()
    assert operator.get(f"{LIST}begin/").status_code == 405
    assert operator.get(f"{LIST}{check.pk}/repair/").status_code == 405
    assert operator.get(f"{LIST}999/change/").status_code == 302
    assert operator.post(f"{LIST}999/repair/").status_code == 404
