"""Features: defined here without a deploy, tried on a sample before they are saved, and added to a version."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from featurehub.admin.permissions import person
from featurehub.lib.errors import ConflictError, FeatureHubError
from features.admin.definitions.forms import NEW_DRAFT, DefinitionForm, FixedDefinitionForm, NewDefinitionForm
from features.admin.definitions.preview import preview_context_of_form
from features.lifecycle import drafts
from features.lifecycle.definitions import MEANING
from features.lifecycle.steps import VersionState, lock_versions
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.monitoring.coverage import coverages
from features.registry.snapshot import registry_snapshot
from features.registry.window_text import window_text
from features.registry.wording import definition_in_words
from features.tuning.event_suggestions import event_suggestions

WORDS_IN_LIST = 90
NO_BREAK = "\u00a0"
NEW = (
    ("What it is", {"fields": ("name", "feature_type", "description")}),
    (
        "How it is computed",
        {
            "fields": (
                "kind",
                "metadata_key",
                ("event_type", "category"),
                ("window_hours", "half_life_days"),
                "expression",
                *(f"version_{feature_type}" for feature_type in FeatureType.values),
            )
        },
    ),
    (
        "For those who use it",
        {
            "fields": (("owner", "unit"), "default", ("minimum", "maximum"), "tags", "list_place"),
            "classes": ("collapse",),
        },
    ),
)


@admin.register(FeatureDefinition)
class FeatureDefinitionAdmin(ModelAdmin):
    list_display = ("name", "kind_of_feature", "words", "unit", "bounds", "owner", "in_versions")
    list_filter = (("feature_type", ChoicesDropdownFilter),)
    search_fields = ("name", "description", "owner")
    ordering = ("feature_type", "name")
    show_facets = admin.ShowFacets.NEVER
    change_form_outer_before_template = "features/definitions/about.html"
    change_form_after_template = "features/definitions/try.html"

    class Media:
        css = {"all": ["features/weights.css", "features/versions.css"]}
        js = ("features/definitions.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[FeatureDefinition]:
        definitions: QuerySet[FeatureDefinition] = super().get_queryset(request)
        return definitions.prefetch_related("versions")

    # --- The form -------------------------------------------------------------------------------------------------

    def get_form(
        self, request: HttpRequest, obj: FeatureDefinition | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = NewDefinitionForm if obj is None else FixedDefinitionForm if is_fixed(obj) else DefinitionForm
        return super().get_form(request, obj, change=change, **{**kwargs, "form": form})

    def get_fieldsets(self, request: HttpRequest, obj: FeatureDefinition | None = None) -> Any:
        if obj is None:
            return NEW
        (_, what), (how_it_is, _), use = NEW
        meaning = MEANING.get(obj.feature_type, ())
        is_shown_only = is_fixed(obj) or not self.has_change_permission(request, obj)
        if is_shown_only:
            meaning = tuple("window" if name == "window_hours" else name for name in meaning)
        computed = () if not meaning or (not obj.kind and not obj.expression and is_fixed(obj)) else meaning
        how = [(how_it_is, {"fields": computed})] if computed else []
        return [("What it is", what), *how, use]

    def get_readonly_fields(self, request: HttpRequest, obj: FeatureDefinition | None = None) -> tuple[str, ...]:
        """Return the fields that can't be edited any more.

        History and clients refer to a feature by its name, and a name belongs to one type, so both are fixed. So is
        the computation, once a version past draft has it.
        """
        if obj is None:
            return ()
        return ("name", "feature_type", "window", *(MEANING.get(obj.feature_type, ()) if is_fixed(obj) else ()))

    @display(description="Window", empty_value="-")
    def window(self, definition: FeatureDefinition) -> str | None:
        return None if definition.window_hours is None else window_text(definition.window_hours)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return the initial values from `?feature_type=` and the id in `?version=`."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        if "version" in initial:
            initial[f"version_{initial.get('feature_type')}"] = initial["version"]
        return initial

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        *args: Any,
        obj: FeatureDefinition | None = None,
        **kwargs: Any,
    ) -> HttpResponse:
        context |= {"seen": event_suggestions(), "show_save_and_add_another": False, "show_save_and_continue": False}
        if obj is not None:
            context |= about(obj)
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show or save the form; a refusal by a service becomes a message, not an error page."""
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except FeatureHubError as error:
            messages.error(request, f"{error.detail} Nothing was saved.")
            return HttpResponseRedirect(request.path)
        return answer

    def save_model(self, request: HttpRequest, obj: FeatureDefinition, form: DefinitionForm, change: bool) -> None:
        """Save the definition and add it to the chosen version, in the transaction of `changeform_view`."""
        # A version of this feature may have left draft since the form was made.
        lock_versions()
        changes_meaning = change and not set(form.changed_data).isdisjoint(MEANING.get(obj.feature_type, ()))
        if changes_meaning and obj.versions.exclude(state=VersionState.DRAFT).exists():
            raise ConflictError(f"{obj} is in a version past draft by now: what it means does not change.")
        super().save_model(request, obj, form, change)
        transaction.on_commit(registry_snapshot.forget)
        if isinstance(form, NewDefinitionForm):
            chosen = form.chosen_version(form.cleaned_data)
            if chosen == NEW_DRAFT:
                number = drafts.next_number(obj.feature_type)
                chosen = drafts.draft_version(obj.feature_type, number, by=person(request), reason=f"For {obj.name}.")
            if isinstance(chosen, FeatureVersion):
                drafts.add_definitions(chosen.pk, [obj], by=person(request))

    def response_add(
        self, request: HttpRequest, obj: FeatureDefinition, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Redirect to the version that has the new feature, else to the feature."""
        version = obj.versions.first()
        if version is None:
            messages.success(request, f"{obj} is saved. No version has it yet.")
            return HttpResponseRedirect(reverse("admin:features_featuredefinition_change", args=[obj.pk]))
        messages.success(request, f"{obj} is saved and in {version}. {what_next(version)}")
        return HttpResponseRedirect(reverse("admin:features_featureversion_change", args=[version.pk]))

    def has_delete_permission(self, request: HttpRequest, obj: FeatureDefinition | None = None) -> bool:
        """Return False for a feature that is in a version."""
        is_used = obj is not None and obj.versions.exists()
        return not is_used and bool(super().has_delete_permission(request, obj))

    def delete_model(self, request: HttpRequest, obj: FeatureDefinition) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(registry_snapshot.forget)

    # --- The preview ----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path("preview/", self.admin_site.admin_view(self.preview), name="features_featuredefinition_preview"),
            path(
                "<int:pk>/preview/",
                self.admin_site.admin_view(self.preview),
                name="features_featuredefinition_preview_of",
            ),
        ]
        return [*pages, *super().get_urls()]

    def preview(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Show the values that the feature in the form, saved or not, would have for a sample of customers."""
        definition = None if pk is None else FeatureDefinition.objects.filter(pk=pk).first()
        if not (self.has_add_permission(request) if definition is None else self.has_view_permission(request)):
            raise PermissionDenied
        form_class = self.get_form(request, definition, change=definition is not None)
        context = preview_context_of_form(form_class(request.POST, instance=definition))
        return TemplateResponse(request, "features/definitions/preview.html", context)

    # --- The list -------------------------------------------------------------------------------------------------

    @display(description="Type", ordering="feature_type", label=True)
    def kind_of_feature(self, definition: FeatureDefinition) -> str:
        return definition.get_feature_type_display()

    @display(description="What it is")
    def words(self, definition: FeatureDefinition) -> str:
        computed = bool(definition.kind or definition.expression)
        said = definition.description or definition_in_words(definition)
        words = definition_in_words(definition) if computed and not definition.description else said
        return format_html('<span title="{}">{}</span>', words, Truncator(words).chars(WORDS_IN_LIST))

    @display(description="Range")
    def bounds(self, definition: FeatureDefinition) -> str:
        least, most = definition.minimum, definition.maximum
        if least is None and most is None:
            return "any number"
        return f"{'−∞' if least is None else f'{least:g}'} to {'∞' if most is None else f'{most:g}'}"

    @display(description="In versions")
    def in_versions(self, definition: FeatureDefinition) -> str:
        versions = sorted(definition.versions.all(), key=lambda version: drafts.version_key(version.number))
        return ", ".join(f"{row.number}{NO_BREAK}{row.state}" for row in versions) or "none"


def is_fixed(definition: FeatureDefinition) -> bool:
    """Return whether a version past draft has the definition."""
    return any(version.state != VersionState.DRAFT for version in definition.versions.all())


def about(definition: FeatureDefinition) -> dict[str, Any]:
    """Return the template context of the panel above a definition's fields."""
    versions = sorted(definition.versions.all(), key=lambda version: drafts.version_key(version.number))
    measured = coverages.get()
    return {
        "in_words": definition_in_words(definition),
        "versions": versions,
        "fixed_by": [version for version in versions if version.state != VersionState.DRAFT],
        "coverage": measured.of(definition.name),
        "sampled": measured.customers,
    }


def what_next(version: FeatureVersion) -> str:
    """Return a sentence about the next step after a feature was added to a version."""
    if version.state == VersionState.DRAFT:
        return "Put the version into shadow to have it computed beside the live one."
    return "Clients can write it now."
