"""Feature sets: the newest of each name, the page of each, and the page that makes another."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from featurehub.admin.large_tables import ReadOnlyAdmin
from featurehub.admin.own_pages import OwnObjectPage
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.admin.feature_sets.forms import FeatureSetForm, fields_like
from features.lifecycle.feature_sets import make_feature_set
from features.models import FeatureDefinition, FeatureSet, FeatureSetUse, FeatureVersion
from features.registry.snapshot import registry_snapshot
from features.registry.wording import definition_in_words

MAY_MAKE = "features.add_featureset"
# The field of the form beside which an error of the service is shown.
FIELD_OF = {"name": "name", "names": "features"}


@admin.register(FeatureSet)
class FeatureSetAdmin(OwnObjectPage, ReadOnlyAdmin):
    class Media:
        css = {"all": ["features/weights.css", "features/versions.css"]}
        js = ("features/feature_sets.js",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List the newest set of each name."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        newest = FeatureSet.objects.order_by("name", "-number").distinct("name")
        values = {
            "title": "Feature sets",
            "rows": set_rows(list(newest), numbers=numbers_by_name()),
            "may_make": may(request, MAY_MAKE),
            "now": timezone.now(),
        }
        return TemplateResponse(request, "features/feature_sets/list.html", {**self.page_context(request), **values})

    def object_page(self, request: HttpRequest, row: FeatureSet) -> HttpResponse:
        """Show the features of a set with their versions, who reads by it, and the other numbers of its name."""
        values = {"title": str(row), "may_make": may(request, MAY_MAKE), **set_context(row, now=timezone.now())}
        return TemplateResponse(request, "features/feature_sets/set.html", {**self.page_context(request), **values})

    def get_urls(self) -> list[URLPattern]:
        page = path("make/", self.admin_site.admin_view(self.make), name="features_featureset_make")
        return [page, *super().get_urls()]

    def make(self, request: HttpRequest) -> HttpResponse:
        """Ask for the contents on GET, with those of the set in `?like=` at first; make the set on POST."""
        if not may(request, MAY_MAKE):
            raise PermissionDenied
        like = request.GET.get("like", "")
        original = FeatureSet.objects.filter(pk=like).first() if like.isdecimal() and len(like) < 19 else None
        form = FeatureSetForm(request.POST or None, initial=fields_like(original))
        if request.method == "POST" and form.is_valid():
            made = self.make_from(request, form)
            if made is not None:
                return HttpResponseRedirect(reverse("admin:features_featureset_change", args=[made.pk]))
        values = {"title": "New feature set", "form": form, "groups": groups_to_choose_from()}
        return TemplateResponse(request, "features/feature_sets/make.html", {**self.page_context(request), **values})

    def make_from(self, request: HttpRequest, form: FeatureSetForm) -> FeatureSet | None:
        """Make the set of a valid form and return it; None where it is refused, with the error in the form."""
        try:
            made = make_feature_set(
                form.cleaned_data["name"],
                names=form.names,
                versions=form.versions,
                by=person(request),
                reason=form.why,
            )
        except FeatureHubError as error:
            form.add_error(FIELD_OF.get(error.attr or ""), error.detail)
            return None
        if made.is_new:
            messages.success(request, f"{made.feature_set} is made. Readers have it within seconds.")
        else:
            messages.info(request, f"{made.feature_set} is just that, so it was not made again.")
        return made.feature_set


def numbers_by_name() -> dict[str, int]:
    """Return name → how many sets it has."""
    return dict(FeatureSet.objects.order_by().values("name").annotate(sets=Count("pk")).values_list("name", "sets"))


def set_rows(sets: list[FeatureSet], *, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return a row for each set: its last reader, and what it pins that can't be read yet or any more.

    `numbers`: name → how many sets it has, where the row stands for all of them.
    """
    uses = FeatureSetUse.objects.filter(feature_set__in=sets).order_by("used_at").select_related("api_key")
    last = {use.feature_set_id: use for use in uses}
    states = {str(row): row.state for row in FeatureVersion.objects.all()}
    return [
        {
            "set": row,
            "read": last.get(row.pk),
            "older": numbers.get(row.name, 1) - 1,
            "drafts": [pin for pin in row.pins if states.get(pin) == FeatureVersion.State.DRAFT],
            "gone": [pin for pin in row.pins if states.get(pin) == FeatureVersion.State.RETIRED],
        }
        for row in sets
    ]


def set_context(row: FeatureSet, *, now: datetime) -> dict[str, Any]:
    """Return the template context of a set's page."""
    definitions = {known.name: known for known in FeatureDefinition.objects.filter(name__in=row.names)}
    pinned = {(found.feature_type, found.number): found for found in FeatureVersion.objects.all()}
    versions = [pinned[key] for key in sorted(row.versions.items())]
    return {
        "set": row,
        "versions": versions,
        "drafts": [found for found in versions if found.state == FeatureVersion.State.DRAFT],
        "gone": [found for found in versions if found.state == FeatureVersion.State.RETIRED],
        "features": [
            {
                "definition": definitions[name],
                "words": definitions[name].description or definition_in_words(definitions[name]),
                "version": pinned[definitions[name].feature_type, row.versions[definitions[name].feature_type]],
            }
            for name in row.names
        ],
        "uses": row.uses.select_related("api_key").order_by("-used_at"),
        "others": set_rows(list(FeatureSet.objects.filter(name=row.name).exclude(pk=row.pk)), numbers={}),
        "now": now,
    }


def groups_to_choose_from() -> list[dict[str, Any]]:
    """Return the readable features by version, for people who choose some: the live version of each type first."""
    known = registry_snapshot.get(younger_than=0)
    views = sorted(known.views.values(), key=lambda view: (view.feature_type, not known.is_live(view), view.number))
    return [
        {"version": f"{view.feature_type}:{view.number}", "is_live": known.is_live(view), "names": view.names}
        for view in views
    ]
