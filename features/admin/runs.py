"""Runs of long work: progress, pace and the time that is left."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from featurehub.admin.large_tables import ReadOnlyAdmin
from featurehub.lib.humanize import duration
from features.models import Run

RUN_STATE_COLOURS = {"Running": "info", "Done": "success", "Failed": "danger", "Overtaken": "default"}
RUNS_PER_ANSWER = 200


def run_progress(run: Run, *, now: datetime) -> dict[str, Any]:
    """Return the progress that the page and its refresh show: `percent`, `text` and `pace`."""
    is_running = run.state == Run.State.RUNNING
    seconds = ((now if is_running else run.updated_at) - run.started_at).total_seconds()
    rate = run.done / seconds if seconds > 0 else 0.0
    return {
        "id": run.pk,
        "state": run.state,
        "percent": percent_done(run),
        "text": f"{run.done:,} of {run.total:,}",
        "pace": pace_in_words(rate, rest=time_left(run, rate=rate) if is_running else f"took {duration(seconds)}"),
    }


def pace_in_words(rate: float, *, rest: str) -> str:
    """Return the rate, where it is 1 per second or more, followed by `rest`."""
    return f"{rate:,.0f} a second, {rest}" if rate >= 1 else rest


def percent_done(run: Run) -> int:
    """Return the percentage done, rounded down, so that 100 means all."""
    if not run.total:
        return 100 if run.state == Run.State.DONE else 0
    return min(100 * run.done // run.total, 100)


def time_left(run: Run, *, rate: float) -> str:
    """Return the time left at the average rate so far, as text."""
    if not rate:
        return "waiting for a worker"
    return f"{duration(max(run.total - run.done, 0) / rate)} left"


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ("kind", "shown_state", "bar", "started_at", "updated_at")
    list_filter = (("kind", ChoicesDropdownFilter), ("state", ChoicesDropdownFilter))
    list_filter_submit = True
    list_select_related = ("weight_set",)
    ordering = ("-id",)
    show_facets = admin.ShowFacets.NEVER
    empty_template = "features/admin/no_runs.html"
    fields = readonly_fields = ("kind", "shown_state", "bar", "weight_set", "error", "started_at", "updated_at")

    class Media:
        js = ("features/progress.js",)

    def get_urls(self) -> list[URLPattern]:
        address = path("progress/", self.admin_site.admin_view(self.progress_view), name="features_run_progress")
        return [address, *super().get_urls()]

    def progress_view(self, request: HttpRequest) -> JsonResponse:
        """Return the progress of the runs in `?id=1&id=2`, for progress.js while a run is running."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        ids = [int(text) for text in request.GET.getlist("id") if text.isascii() and text.isdigit() and len(text) < 19]
        runs = Run.objects.filter(pk__in=ids[:RUNS_PER_ANSWER])
        return JsonResponse({"runs": [run_progress(run, now=timezone.now()) for run in runs]})

    @display(description="State", label=RUN_STATE_COLOURS)
    def shown_state(self, run: Run) -> str:
        return run.get_state_display()

    @display(description="Progress")
    def bar(self, run: Run) -> SafeString:
        return render_to_string("features/admin/progress.html", {"progress": run_progress(run, now=timezone.now())})
