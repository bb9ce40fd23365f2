"""Metrics of the feature store, as Prometheus reads them."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from events.models import DirtyCustomer
from featurehub.lib.traffic import Counts, traffic
from features.models import ConsistencyCheck, Publication, Run
from features.monitoring.flush import flush_traffic
from features.monitoring.series import Points
from tests.away import postgres_away
from tests.factories import ago, make_client, make_customer, make_event, store_events, url_of


def scrape(client: Client) -> dict[str, float]:
    """Return FeatureHub's metrics: name, with labels, → value."""
    response = client.get("/metrics")
    assert response.status_code == 200
    lines = re.findall(r"^(featurehub_\S+) (\S+)$", response.content.decode(), re.MULTILINE)
    return {name: float(value) for name, value in lines}


@pytest.mark.django_db
def test_an_empty_store_is_all_zeros(client: Client) -> None:
    metrics = scrape(client)
    assert metrics["featurehub_database_up"] == 1
    for name in (
        "due_marks",
        "oldest_due_mark_age_seconds",
        "customers",
        "customers_active",
        "customers_behind",
        "overdue_publications",
    ):
        assert metrics[f"featurehub_{name}"] == 0


@pytest.mark.django_db
def test_customers_and_the_backlog_are_counted(client: Client) -> None:
    make_customer("active", login=1)
    make_customer("quiet", events=[make_event(timestamp=ago(days=40))])
    store_events(make_event(customer_id="waits"))
    DirtyCustomer.objects.update(due_at=timezone.now() - timedelta(minutes=2))
    for due_at in (ago(seconds=1), ago(seconds=-60)):
        Publication.objects.create(customer_ids=["active"], due_at=due_at)
    metrics = scrape(client)
    assert metrics["featurehub_customers"] == 2
    assert metrics["featurehub_customers_active"] == 1
    assert metrics["featurehub_due_marks"] == 1
    assert metrics["featurehub_overdue_publications"] == 1
    assert 120 <= metrics["featurehub_oldest_due_mark_age_seconds"] < 180


@pytest.mark.django_db
def test_the_last_check_of_consistency_tells_who_is_wrong_and_how_old_it_is(client: Client) -> None:
    assert not any("consisten" in name for name in scrape(client))
    run = Run.objects.create(kind="check", state="done", updated_at=ago(minutes=10))
    check = ConsistencyCheck.objects.create(
        run=run, rate=0.001, confidence=0.95, is_everybody=False, compared=2_995, wrong=2
    )
    for customer_id, repaired_at in (("a", None), ("b", ago(minutes=5))):
        check.inconsistent.create(customer_id=customer_id, findings=[], repaired_at=repaired_at)
    metrics = scrape(client)
    assert metrics["featurehub_inconsistent_customers"] == 1
    assert metrics["featurehub_inconsistent_share_below"] == pytest.approx(0.0021, rel=0.01)
    assert 600 <= metrics["featurehub_consistency_check_age_seconds"] < 660


@pytest.mark.django_db
def test_the_newest_run_of_each_kind_tells_its_state(client: Client) -> None:
    for kind, state in (("rescore", "failed"), ("rescore", "done"), ("recompute", "running")):
        Run.objects.create(kind=kind, state=state)
    metrics = scrape(client)
    assert metrics['featurehub_last_run{kind="rescore",state="done"}'] == 1
    assert metrics['featurehub_last_run{kind="rescore",state="failed"}'] == 0
    assert metrics['featurehub_last_run{kind="recompute",state="running"}'] == 1


@pytest.mark.django_db
def test_requests_reads_and_events_are_counted_for_all_processes(client: Client) -> None:
    reader = make_client()
    make_customer("c1", login=2)
    traffic.take()
    reader.get(url_of("c1"))
    flush_traffic()
    points = Points(now=timezone.now())
    points.add(("events", ("login",)), Counts(2), at=timezone.now())
    points.write()
    metrics = scrape(client)
    of_request = {name: value for name, value in metrics.items() if "customers/{customer_id}/features/" in name}
    assert all('method="GET",status="200"' in name for name in of_request)
    by_kind = {name.partition("{")[0]: value for name, value in of_request.items()}
    assert by_kind["featurehub_request_seconds_bucket"] == by_kind["featurehub_request_seconds_count"] == 1
    assert by_kind["featurehub_request_seconds_sum"] > 0
    assert metrics['featurehub_reads_total{source="cache"}'] == 1
    assert metrics['featurehub_events_total{type="login"}'] == 2


@pytest.mark.usefixtures("committed")
def test_with_postgresql_away_the_page_is_there_and_says_so(client: Client) -> None:
    with postgres_away():
        metrics = scrape(client)
    assert [name for name in metrics if "rejected" not in name] == ["featurehub_database_up"]
    assert metrics["featurehub_database_up"] == 0
    assert scrape(client)["featurehub_database_up"] == 1
