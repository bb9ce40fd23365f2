"""Answer health checks of load balancers and scrapes of Prometheus."""

from collections.abc import Callable

from celery import current_app
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from featurehub.access.metrics import LimitsCollector
from featurehub.lib.old_database import UNRELEASED_DATABASE, is_unreleased
from features.monitoring.metrics import FeatureStoreCollector

REGISTRY.register(FeatureStoreCollector())
REGISTRY.register(LimitsCollector())


def alive(request: HttpRequest) -> JsonResponse:
    """Return 200 while the process can answer."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Return 200 if every part works, else 503 and the failed checks."""
    checks = {name: run_check(check) for name, check in CHECKS.items()}
    in_order = all(text == "ok" for text in checks.values())
    response = JsonResponse({"status": "ok" if in_order else "unavailable", "checks": checks})
    if not in_order:
        response.status_code = 503
        response["Retry-After"] = "5"
    return response


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics in Prometheus' format."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def run_check(check: Callable[[], str]) -> str:
    """Return the result of the check, or the class of its exception.

    The page is public, so that it shows no more than that.
    """
    try:
        return check()
    except Exception as error:  # the answer is about failures of any kind
        return f"failed: {type(error).__name__}"


def check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return "ok"


def check_redis() -> str:
    cache.get("healthz")
    return "ok"


def check_broker() -> str:
    with current_app.connection_for_write(connect_timeout=1) as broker:
        broker.ensure_connection(max_retries=0)
    return "ok"


def check_migrations() -> str:
    if is_unreleased(connection):
        return UNRELEASED_DATABASE
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(waiting)} migrations are not applied: run manage.py migrate" if waiting else "ok"


CHECKS = {
    "database": check_database,
    "redis": check_redis,
    "broker": check_broker,
    "migrations": check_migrations,
}
