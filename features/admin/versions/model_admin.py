"""Feature versions: the list by type, the page of each, its steps, and two versions side by side."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from featurehub.admin.large_tables import ReadOnlyAdmin
from featurehub.admin.own_pages import OwnObjectPage
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.admin.versions import pages
from features.admin.versions.comparison import version_comparison_page
from features.admin.versions.forms import DraftForm
from features.admin.versions.steps import version_step_page
from features.lifecycle import drafts
from features.models import FeatureDefinition, FeatureType, FeatureVersion


@admin.register(FeatureVersion)
class FeatureVersionAdmin(OwnObjectPage, ReadOnlyAdmin):
    class Media:
        css = {"all": ["features/weights.css", "features/versions.css"]}
        js = ("features/progress.js",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List all versions by type, on one page: there are few."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        values = {
            "title": "Feature versions",
            "groups": pages.version_groups(now=timezone.now()),
            "may_add": may(request, "features.add_featureversion"),
            "now": timezone.now(),
        }
        return TemplateResponse(request, "features/versions/list.html", {**self.page_context(request), **values})

    def object_page(self, request: HttpRequest, row: FeatureVersion) -> HttpResponse:
        """Show the page of one version, with links to the pages of its steps."""
        values = {"title": str(row), **pages.version_context(row, request=request, now=timezone.now())}
        return TemplateResponse(request, "features/versions/version.html", {**self.page_context(request), **values})

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path("draft/<slug:feature_type>/", self.draft, name="features_featureversion_draft"),
            path("compare/<slug:feature_type>/", self.compare, name="features_featureversion_compare"),
            path("<int:pk>/step/<slug:name>/", self.step, name="features_featureversion_step"),
            path("<int:pk>/features/", self.features, name="features_featureversion_features"),
        ]
        wrapped = [path(str(page.pattern), self.admin_site.admin_view(page.callback), name=page.name) for page in pages]
        return [*wrapped, *super().get_urls()]

    def draft(self, request: HttpRequest, feature_type: str) -> HttpResponse:
        """Ask for the number and the reason on GET, create the draft and go to its page on POST."""
        if feature_type not in FeatureType.values:
            raise Http404("There is no such type.")
        if not may(request, "features.add_featureversion"):
            raise PermissionDenied
        form = DraftForm(request.POST or None, feature_type=feature_type)
        if request.method == "POST" and form.is_valid():
            try:
                version = drafts.draft_version(feature_type, by=person(request), **form.cleaned_data)
            except FeatureHubError as error:
                form.add_error(error.attr if error.attr in form.fields else None, error.detail)
            else:
                messages.success(request, f"The draft {version} is made. Change its features, then put it into shadow.")
                return HttpResponseRedirect(reverse("admin:features_featureversion_change", args=[version.pk]))
        values = {"title": f"New {FeatureType(feature_type).label.lower()} version", "form": form}
        return TemplateResponse(request, "features/versions/draft.html", {**self.page_context(request), **values})

    def features(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add a definition to the draft, or remove it: POST `add` or `remove` with its id."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        version = get_object_or_404(FeatureVersion, pk=pk)
        if not may(request, "features.change_featureversion"):
            raise PermissionDenied
        chosen = request.POST.get("add") or request.POST.get("remove") or ""
        definition = get_object_or_404(FeatureDefinition, pk=chosen if chosen.isdecimal() else 0)
        try:
            if "remove" in request.POST:
                drafts.remove_definition(version.pk, definition, by=person(request))
                messages.success(request, f"{definition} is not in {version} any more.")
            else:
                drafts.add_definitions(version.pk, [definition], by=person(request))
                messages.success(request, f"{definition} is in {version}.")
        except FeatureHubError as error:
            messages.error(request, error.detail)
        return HttpResponseRedirect(reverse("admin:features_featureversion_change", args=[version.pk]))

    def step(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        return version_step_page(request, pk=pk, name=name, context=self.page_context(request))

    def compare(self, request: HttpRequest, feature_type: str) -> HttpResponse:
        if feature_type not in FeatureType.values:
            raise Http404("There is no such type.")
        return version_comparison_page(request, feature_type=feature_type, context=self.page_context(request))
