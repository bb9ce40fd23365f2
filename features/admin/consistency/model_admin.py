"""Checks of consistency: the list with its picture, the page of each check, its beginning by hand and its repair."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from featurehub.admin.large_tables import ReadOnlyAdmin
from featurehub.admin.own_pages import OwnObjectPage
from featurehub.admin.permissions import may
from features.admin.consistency.chart import consistency_chart
from features.admin.runs import run_progress
from features.materialization import runs
from features.models import ConsistencyCheck, Run
from features.monitoring import consistency
from features.monitoring.outcomes import beside, outcome, share

CHECKS_SHOWN = 100
WRONG_SHOWN = 200
MAY_REPAIR = "features.change_consistencycheck"


@admin.register(ConsistencyCheck)
class ConsistencyCheckAdmin(OwnObjectPage, ReadOnlyAdmin):
    class Media:
        css = {"all": ["features/weights.css", "features/versions.css"]}
        js = ("features/progress.js",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the newest checks and their picture, on one page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        newest = ConsistencyCheck.objects.select_related("run", "repair_run")[:CHECKS_SHOWN]
        drawn = [check for check in reversed(newest) if check.compared and check.run.state == Run.State.DONE]
        values = {
            "title": "Consistency",
            "checks": [{"check": check, **self.in_words(check)} for check in newest],
            "chart": consistency_chart(drawn) if drawn else None,
            "may_begin": may(request, MAY_REPAIR),
            "size": consistency.sample_size(rate=settings.CONSISTENCY_RATE, confidence=settings.CONSISTENCY_CONFIDENCE),
            "rate": share(settings.CONSISTENCY_RATE),
            "confidence": share(settings.CONSISTENCY_CONFIDENCE),
            "repairs": settings.CONSISTENCY_REPAIR,
        }
        return TemplateResponse(request, "features/consistency/list.html", {**self.page_context(request), **values})

    def object_page(self, request: HttpRequest, row: ConsistencyCheck) -> HttpResponse:
        """Show one check: what it found by feature and by customer, and the repair."""
        may_see = may(request, "features.view_customer")
        values = {
            "title": f"Check of {row.run.started_at:%-d %b %Y, %H:%M} UTC",
            "check": row,
            **self.in_words(row),
            "customers": row.inconsistent.order_by("pk")[:WRONG_SHOWN] if may_see else [],
            "left": consistency.to_repair(row).count(),
            "repaired": row.inconsistent.filter(repaired_at__isnull=False).count(),
            "may_repair": may(request, MAY_REPAIR),
            "features": sorted(row.features, key=lambda each: each["matching"] == matched(each)),
        }
        return TemplateResponse(request, "features/consistency/check.html", {**self.page_context(request), **values})

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path("begin/", self.admin_site.admin_view(self.begin), name="features_consistencycheck_begin"),
            path("<int:pk>/repair/", self.admin_site.admin_view(self.repair), name="features_consistencycheck_repair"),
        ]
        return [*pages, *super().get_urls()]

    def begin(self, request: HttpRequest) -> HttpResponse:
        """Begin a check and go to its page: POST."""
        if not may(request, MAY_REPAIR):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with transaction.atomic():
            run = consistency.begin_check(now=datetime.now(UTC))
            if run is not None:
                self.log_change(request, run.consistency_check, "Begun by hand.")
        if run is None:
            messages.warning(request, "All customers are being recomputed. Start the check again when that is done.")
            return HttpResponseRedirect(reverse("admin:features_consistencycheck_changelist"))
        runs.enqueue_run(run)
        return HttpResponseRedirect(page_of(run.consistency_check))

    def repair(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Begin to repair the customers that the check found wrong, and go back to its page: POST."""
        if not may(request, MAY_REPAIR):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        check = get_object_or_404(ConsistencyCheck.objects.select_related("run", "repair_run"), pk=pk)
        with transaction.atomic():
            run = consistency.begin_repair(check)
            if run is not None:
                self.log_change(request, check, f"Repair of {run.total} customers begun.")
        if run is None:
            messages.warning(request, "No customer is left to repair.")
        else:
            messages.success(request, f"{run.total:,} customers are being computed and published anew.")
        return HttpResponseRedirect(page_of(check))

    def in_words(self, check: ConsistencyCheck) -> dict[str, Any]:
        """Return the outcome and the progress of the check and of its repair."""
        now = timezone.now()
        is_running = check.run.state == Run.State.RUNNING
        return {
            "outcome": outcome(check),
            "beside": beside(check),
            "progress": run_progress(check.run, now=now) if is_running else None,
            "repair": run_progress(check.repair_run, now=now) if check.repair_run else None,
        }


def page_of(check: ConsistencyCheck) -> str:
    """Return the address of the check's page."""
    return reverse("admin:features_consistencycheck_change", args=[check.pk])


def matched(each: dict[str, Any]) -> int:
    """Return how many values of a tally were compared, so that it tells whether all of them matched."""
    return sum(int(each[name]) for name in ("matching", "missing", "extra", "different"))
