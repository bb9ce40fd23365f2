"""Value monitoring: alerts, every feature's figures, the baseline week, events by type, and a page for each feature."""

from datetime import UTC, datetime, timedelta
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
from featurehub.admin.permissions import may, person
from features.admin.values.charts import DRAWN_QUANTILES, feature_charts, volume_chart
from features.admin.values.forms import BaselineForm, ThresholdsForm
from features.models import BaselineWeek, FeatureDefinition, FeatureProfile, FeatureThresholds, ProfiledDay
from features.monitoring.drift import FeatureDrift, Thresholds, drifts_of, thresholds_by_name
from features.monitoring.event_volume import USUAL_DAYS, counts_by_type
from features.monitoring.value_alerts import value_watch
from features.registry.wording import definition_in_words

MAY_SET = "features.change_featureprofile"
DAYS_SHOWN, DAYS_CHOICES = 90, (30, 90, 365)
DAYS_IN_SPARKLINE = 30


@admin.register(FeatureProfile)
class FeatureProfileAdmin(OwnObjectPage, ReadOnlyAdmin):
    class Media:
        css = {"all": ["features/weights.css"]}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show what is unusual, and every live feature's figures of the newest day, on one page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.list_page(request, form=BaselineForm())

    def list_page(self, request: HttpRequest, *, form: BaselineForm) -> HttpResponse:
        now = timezone.now()
        watch = value_watch.get(younger_than=0)
        pages = {each.profile.name: feature_address(each.profile) for each in watch.drifts}
        values = {
            "title": "Value monitoring",
            "alerts": [{"alert": alert, "page": pages.get(alert.feature)} for alert in watch.alerts(now=now)],
            "newest": watch.newest,
            "under_way": ProfiledDay.objects.filter(state=ProfiledDay.State.RUNNING).first(),
            "size": settings.PROFILE_SAMPLE,
            "rows": feature_rows(watch.drifts, now=now),
            "baseline": BaselineWeek.objects.select_related("chosen_by").first(),
            "form": form,
            "may_set": may(request, MAY_SET),
            "volumes": volume_chart(counts_by_type(since=now - timedelta(days=USUAL_DAYS + 1), until=now)),
            "silence_hours": settings.SILENCE_HOURS,
        }
        return TemplateResponse(request, "features/values/list.html", {**self.page_context(request), **values})

    def object_page(self, request: HttpRequest, row: FeatureProfile) -> HttpResponse:
        """Show the feature of this profile: its charts over the days that `?days=` says, and its thresholds."""
        limits = thresholds_by_name().get(row.name, Thresholds())
        form = ThresholdsForm(
            initial={"stability_index": limits.stability_index, "largest_distance": limits.largest_distance}
        )
        return self.feature_page(request, row, form=form)

    def feature_page(self, request: HttpRequest, row: FeatureProfile, *, form: ThresholdsForm) -> HttpResponse:
        days = next((days for days in DAYS_CHOICES if str(days) == request.GET.get("days")), DAYS_SHOWN)
        drifts = drifts_of(row.name, days=days)
        definition = FeatureDefinition.objects.filter(name=row.name).first()
        values = {
            "title": row.name,
            "profile": row,
            "meaning": definition and (definition.description or definition_in_words(definition)),
            "newest": drifts[-1] if drifts else None,
            "charts": feature_charts(drifts, unit=definition.unit if definition else "") if drifts else [],
            "days": days,
            "choices": DAYS_CHOICES,
            "form": form,
            "may_set": may(request, MAY_SET),
        }
        return TemplateResponse(request, "features/values/feature.html", {**self.page_context(request), **values})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages = [
            path("baseline/", view(self.choose_baseline), name="features_featureprofile_baseline"),
            path("<int:pk>/thresholds/", view(self.set_thresholds), name="features_featureprofile_thresholds"),
        ]
        return [*pages, *super().get_urls()]

    def choose_baseline(self, request: HttpRequest) -> HttpResponse:
        """Take another week as the baseline: POST."""
        if not may(request, MAY_SET):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = BaselineForm(request.POST)
        if not form.is_valid():
            return self.list_page(request, form=form)
        with transaction.atomic():
            week = BaselineWeek.objects.create(
                first_day=form.cleaned_data["first_day"], reason=form.cleaned_data["reason"], chosen_by=person(request)
            )
            self.log_change(request, week, f"Baseline week from {week.first_day}: {week.reason}")
        value_watch.forget()
        messages.success(request, f"Days are compared with the week from {week.first_day:%-d %b %Y} from now on.")
        return HttpResponseRedirect(reverse("admin:features_featureprofile_changelist"))

    def set_thresholds(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Set the thresholds of the profile's feature: POST."""
        if not may(request, MAY_SET):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = get_object_or_404(FeatureProfile, pk=pk)
        form = ThresholdsForm(request.POST)
        if not form.is_valid():
            return self.feature_page(request, row, form=form)
        numbers = ", ".join(f"{form.fields[name].label} {value}" for name, value in form.cleaned_data.items())
        with transaction.atomic():
            FeatureThresholds.objects.update_or_create(name=row.name, defaults=form.cleaned_data)
            self.log_change(request, row, f"Thresholds: {numbers}.")
        value_watch.forget()
        messages.success(request, f"{row.name} has these thresholds from now on.")
        return HttpResponseRedirect(feature_address(row))


def feature_address(profile: FeatureProfile) -> str:
    """Return the address of the feature's page."""
    return reverse("admin:features_featureprofile_change", args=[profile.pk])


def feature_rows(drifts: Any, *, now: datetime) -> list[dict[str, Any]]:
    """Return the row of each feature: its drift, its quantiles, and its mean over the last days."""
    since = now.astimezone(UTC).date() - timedelta(days=DAYS_IN_SPARKLINE)
    means: dict[str, list[float | None]] = {}
    profiles = FeatureProfile.objects.filter(day__day__gte=since).order_by("day__day")
    for name, mean in profiles.values_list("name", "mean"):
        means.setdefault(name, []).append(mean)
    return [{"drift": each, "means": means.get(each.profile.name, []), **quantiles_of(each)} for each in drifts]


def quantiles_of(drift: FeatureDrift) -> dict[str, Any]:
    if not drift.distribution.count:
        return {}
    low, median, high = drift.distribution.quantiles(DRAWN_QUANTILES).tolist()
    return {"low": low, "median": median, "high": high}
