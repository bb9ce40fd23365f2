"""Answer health checks of load balancers and scrapes of Prometheus."""

import time
from collections.abc import Callable
from threading import Thread

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from events.tombstones import has_tombstones_of_other_keys
from featurehub.access.metrics import LimitsCollector
from featurehub.access.models import Scope
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse
from featurehub.http.view import ApiView
from featurehub.lib.enqueue import connect_to_broker
from featurehub.lib.old_database import UNRELEASED_DATABASE, is_unreleased
from features.monitoring.metrics import FeatureStoreCollector

REGISTRY.register(FeatureStoreCollector())
REGISTRY.register(LimitsCollector())
CHECK_SECONDS = 1.5
OTHER_KEYS = (
    "FEATUREHUB_TOMBSTONE_KEY lacks a key that erased customers were noted under: operations.md, The key of tombstones"
)


def alive(request: HttpRequest) -> JsonResponse:
    """Return 200 while the process can answer."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Return 200 if every part works, else 503 and the failed checks; within two seconds, whatever does not answer."""
    checks = run_checks()
    in_order = all(text == "ok" for text in checks.values())
    response = JsonResponse({"status": "ok" if in_order else "unavailable", "checks": checks})
    if not in_order:
        response.status_code = 503
        response["Retry-After"] = "5"
    return response


@extend_schema(exclude=True)
class MetricsView(ApiView):
    """The metrics in Prometheus' format: for everybody with FEATUREHUB_PUBLIC_METRICS, else for keys with the scope."""

    scopes = {"GET": Scope.METRICS}

    def admit(self, request: ApiRequest, *, method: str) -> None:
        if not settings.PUBLIC_METRICS or method not in self.scopes:
            super().admit(request, method=method)

    def get(self, request: ApiRequest) -> ApiResponse:
        return ApiResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def run_checks() -> dict[str, str]:
    """Return the results by name: those of PostgreSQL in this thread, and meanwhile the others in threads.

    The engine limits the waits for PostgreSQL. A check of another part that takes longer than CHECK_SECONDS is left.
    """
    results = dict.fromkeys(("database", "redis", "broker", *CHECKS_OF_DATABASE), "failed: TimeoutError")

    def note(name: str, check: Callable[[], str]) -> None:
        results[name] = run_check(check)

    ends_at = time.monotonic() + CHECK_SECONDS
    beside = [Thread(target=note, args=part, daemon=True) for part in CHECKS_BESIDE.items()]
    for thread in beside:
        thread.start()
    note("database", check_database)
    for name, check in CHECKS_OF_DATABASE.items():
        if results["database"] == "ok":
            note(name, check)
        else:
            results[name] = results["database"]
    for thread in beside:
        thread.join(max(ends_at - time.monotonic(), 0.0))
    return dict(results)


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
    connect_to_broker()
    return "ok"


def check_migrations() -> str:
    if is_unreleased(connection):
        return UNRELEASED_DATABASE
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(waiting)} migrations are not applied: run manage.py migrate" if waiting else "ok"


def check_tombstones() -> str:
    return OTHER_KEYS if has_tombstones_of_other_keys() else "ok"


CHECKS_BESIDE = {"redis": check_redis, "broker": check_broker}
CHECKS_OF_DATABASE = {"migrations": check_migrations, "tombstones": check_tombstones}
