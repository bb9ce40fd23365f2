"""Metrics of the feature store, as Prometheus reads them."""

import re
from datetime import timedelta

import pytest
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone

from events.models import DirtyCustomer
from featurehub.access.models import Scope
from featurehub.http.endpoints import Endpoints
from featurehub.http.errors import unavailable
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse
from featurehub.lib.traffic import TASK_BOUNDS, TASK_TIMES, Counts, traffic
from features.materialization.refresh import refresh_dirty
from features.models import ConsistencyCheck, Publication, Renewal, Run, SeriesPoint
from features.monitoring.flush import flush_traffic
from features.monitoring.series import Points
from tests.away import postgres_away, redis_away
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
def test_pages_are_counted_by_their_route_with_their_times(client: Client) -> None:
    traffic.take()
    for address in (
        "/admin/features/run/7/change/",
        "/admin/features/run/8/change/",
        "/nowhere/",
        "/healthz",
        "/metrics",
    ):
        client.get(address)
    flush_traffic()
    pages = {name: value for name, value in scrape(client).items() if name.startswith("featurehub_page_seconds_count")}
    labels = [re.findall(r'(?:method|page|status)="([^"]*)"', name) for name in pages]
    assert [*zip(labels, pages.values(), strict=True)] == [
        (["GET", "admin/features/run/<path:object_id>/change/", "302"], 2),
        (["GET", "unknown", "404"], 1),
    ]


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


@pytest.mark.django_db
def test_what_is_counted_by_a_known_label_begins_at_zero(client: Client) -> None:
    metrics = scrape(client)
    assert metrics['featurehub_reads_total{source="database"}'] == 0
    for reason in ("away", "incomplete"):
        assert metrics[f'featurehub_fallbacks_total{{reason="{reason}"}}'] == 0
    traffic.take()
    traffic.observe((TASK_TIMES, ("features.measure", "success")), 0.02, bounds=TASK_BOUNDS)
    flush_traffic()
    metrics = scrape(client)
    labels = 'task="features.measure"'
    assert metrics[f'featurehub_task_seconds_count{{outcome="success",{labels}}}'] == 1
    assert metrics[f'featurehub_task_seconds_bucket{{le="0.025",outcome="success",{labels}}}'] == 1
    assert metrics[f'featurehub_task_seconds_bucket{{le="0.01",outcome="success",{labels}}}'] == 0
    assert metrics[f'featurehub_task_seconds_count{{outcome="failure",{labels}}}'] == 0
    # It has no chart on the Overview, so that no point is kept for its minutes and hours.
    assert set(SeriesPoint.objects.values_list("name", "resolution")) == {("tasks", "ever")}


@pytest.mark.django_db
def test_customers_that_redis_can_not_answer_for_are_counted_with_the_reason(client: Client) -> None:
    reader = make_client()
    make_customer("c1", login=2)
    traffic.take()
    reader.get(url_of("nobody"))  # a miss, and no fallback
    with redis_away():
        assert reader.get(url_of("c1")).json()["source"] == "database"
    flush_traffic()
    metrics = scrape(client)
    assert metrics['featurehub_fallbacks_total{reason="away"}'] == 1
    assert metrics['featurehub_reads_total{source="database"}'] == 2


@pytest.mark.django_db
def test_requests_that_the_pool_reads_leaves_to_the_next_are_handovers_and_no_answers(client: Client) -> None:
    class Away:
        def answer(self, request: ApiRequest) -> ApiResponse:
            return unavailable()

    traffic.take()
    endpoints = Endpoints()
    endpoints.routes = [(re.compile("").match, Away, "definitions/")]
    for pool in ("reads", "api"):
        with override_settings(POOL=pool):
            endpoints.respond(ApiRequest.of(RequestFactory().get("/")))
    flush_traffic()
    metrics = scrape(client)
    assert metrics['featurehub_handovers_total{endpoint="definitions/"}'] == 1
    assert metrics['featurehub_request_seconds_count{endpoint="definitions/",method="GET",status="503"}'] == 1


@pytest.mark.django_db
def test_posted_events_are_counted_by_outcome_and_the_time_until_their_customers_are_published(client: Client) -> None:
    sender = make_client(Scope.INGEST)
    traffic.take()
    event = make_event(timestamp=ago(days=1).isoformat())  # the delay is not counted from this moment
    for _ in range(3):
        assert sender.post("/api/v1/events/", {"events": [event]}).status_code == 201
    DirtyCustomer.objects.update(due_at=ago(seconds=20))
    refresh_dirty()
    flush_traffic()
    metrics = scrape(client)
    assert metrics['featurehub_posted_events_total{outcome="accepted"}'] == 1
    assert metrics['featurehub_posted_events_total{outcome="duplicate"}'] == 2
    assert metrics["featurehub_publication_delay_seconds_count"] == 1
    assert 20 <= metrics["featurehub_publication_delay_seconds_sum"] < 300


@pytest.mark.django_db
def test_the_refresh_has_its_age_beside_the_ttl(client: Client) -> None:
    make_customer("c1", login=1)
    Renewal.objects.update(renewed_at=ago(minutes=50))
    metrics = scrape(client)
    assert 3_000 <= metrics["featurehub_oldest_renewal_age_seconds"] < 3_060
    assert metrics["featurehub_feature_ttl_seconds"] == 3_600


@pytest.mark.usefixtures("committed")
def test_with_postgresql_away_the_page_is_there_and_says_so(client: Client) -> None:
    with postgres_away():
        metrics = scrape(client)
    assert [name for name in metrics if "rejected" not in name] == ["featurehub_database_up"]
    assert metrics["featurehub_database_up"] == 0
    assert scrape(client)["featurehub_database_up"] == 1
