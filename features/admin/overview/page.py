"""The first page of the admin, and the addresses that it asks for what has changed."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from featurehub.admin.permissions import may
from featurehub.admin.site import FeatureHubAdminSite
from features.admin.dashboard import tiles
from features.admin.overview.alerts import alerts
from features.admin.overview.charts import CHARTS
from features.admin.runs import run_progress
from features.monitoring import overview
from features.monitoring.overview import StoreState

MAY_SEE_OVERVIEW = "features.view_customer"
RUNS_SHOWN = 5
SECONDS_BETWEEN_REFRESHES = 10
# The ids of the parts of the page that are refreshed, and their templates.
REFRESHED_PARTS = {
    "overview-alerts": "features/overview/alerts.html",
    "overview-tiles": "features/overview/tiles.html",
    "overview-runs": "features/overview/runs.html",
}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the state of the store to the index's context, for users who may see customers."""
    context = {**context, "title": "Overview"}
    if not may(request, MAY_SEE_OVERVIEW):
        return context
    now = timezone.now()
    state = overview.look(now=now)
    return {
        **context,
        **refreshed_parts(request, state),
        "is_first_use": not state.customers.number,
        "charts": [chart_card(name, now=now) for name in CHARTS],
        "refresh_url": reverse("admin:overview"),
        "refresh_seconds": SECONDS_BETWEEN_REFRESHES,
        "refreshed_at": now,
    }


def refreshed_parts(request: HttpRequest, state: StoreState) -> dict[str, Any]:
    """Return the alerts, tiles and runs."""
    return {
        "alerts": alerts(state),
        "tiles": tiles(state),
        "runs": [
            run_progress(run, now=state.now) | {"kind": run.get_kind_display()}
            for run in overview.running_runs()[:RUNS_SHOWN]
        ],
        "may_see_runs": may(request, "features.view_run"),
    }


def chart_card(name: str, *, now: datetime) -> dict[str, Any]:
    """Return a chart, the note below it, and how often it asks which address for its newest state."""
    make, seconds = CHARTS[name]
    made = make(now)
    return {
        "name": name,
        "chart": made.chart,
        "note": made.empty if made.is_empty else made.note,
        "url": f"{reverse('admin:overview_chart')}?name={name}",
        "seconds": seconds,
    }


def overview_view(request: HttpRequest) -> JsonResponse:
    """Return the parts of the page that are no charts, as HTML by the id of their element."""
    check_may_see(request)
    now = timezone.now()
    context = refreshed_parts(request, overview.look(now=now))
    parts = {part: render_to_string(template, context, request=request) for part, template in REFRESHED_PARTS.items()}
    return JsonResponse({"refreshed_at": f"{now:%H:%M:%S} UTC", "parts": parts})


def overview_chart_view(request: HttpRequest) -> JsonResponse:
    """Return the newest state of the chart in `?name=`, the first one if it is left out, and its note."""
    check_may_see(request)
    name = request.GET.get("name", next(iter(CHARTS)))
    if name not in CHARTS:
        raise Http404(f"There is no chart {name}.")
    card = chart_card(name, now=timezone.now())
    return JsonResponse({**card["chart"].as_json(), "note": card["note"]})


def check_may_see(request: HttpRequest) -> None:
    if not may(request, MAY_SEE_OVERVIEW):
        raise PermissionDenied


assert isinstance(admin.site, FeatureHubAdminSite)
admin.site.add_page("overview/", overview_view, name="overview")
admin.site.add_page("overview/chart/", overview_chart_view, name="overview_chart")
