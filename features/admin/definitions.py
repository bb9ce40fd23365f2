"""Feature definitions: what is said about a feature is edited here, what it is called and where it belongs is not."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from features.models import FeatureDefinition
from features.registry import WRITTEN_BY_CLIENTS, registry


class TagsField(forms.CharField):
    """Words separated by commas; a list of strings in Python."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = (word.strip() for word in (super().to_python(value) or "").split(","))
        return list(dict.fromkeys(word for word in words if word))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(self.prepare_value(initial)) != self.to_python(data))


class DefinitionForm(forms.ModelForm):  # type: ignore[type-arg]
    tags = TagsField(required=False, help_text="Separated by commas.")

    class Meta:
        model = FeatureDefinition
        fields = ("name", "feature_type", "description", "owner", "unit", "minimum", "maximum", "tags")
        help_texts = {
            "name": "What clients ask for. It can't be changed later.",
            "feature_type": "Clients write customer and contextual values; the others are computed.",
            "owner": "The team to ask about it.",
            "unit": "Such as days, currency or share.",
            "minimum": "The smallest value; a client that writes a smaller one is refused.",
            "maximum": "The largest value; a client that writes a larger one is refused.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "feature_type" in self.fields:
            choices = [(feature_type.value, feature_type.label) for feature_type in WRITTEN_BY_CLIENTS]
            self.fields["feature_type"] = forms.ChoiceField(
                choices=choices,
                widget=self.fields["feature_type"].widget.__class__(choices=choices),
                help_text=self.fields["feature_type"].help_text,
            )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        minimum, maximum = data.get("minimum"), data.get("maximum")
        if minimum is not None and maximum is not None and minimum > maximum:
            self.add_error("maximum", "The maximum is at least the minimum.")
        return data


@admin.register(FeatureDefinition)
class FeatureDefinitionAdmin(ModelAdmin):
    form = DefinitionForm
    list_display = ("name", "kind", "description", "unit", "bounds", "owner", "in_versions")
    list_filter = (("feature_type", ChoicesDropdownFilter),)
    search_fields = ("name", "description", "owner")
    ordering = ("feature_type", "name")
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[FeatureDefinition]:
        definitions: QuerySet[FeatureDefinition] = super().get_queryset(request)
        return definitions.prefetch_related("versions")

    def get_readonly_fields(self, request: HttpRequest, obj: FeatureDefinition | None = None) -> tuple[str, ...]:
        """History and clients know a feature by its name, and a name belongs to one type: both stay as they are."""
        return () if obj is None else ("name", "feature_type", "in_versions")

    def get_fields(self, request: HttpRequest, obj: FeatureDefinition | None = None) -> tuple[str, ...]:
        return DefinitionForm.Meta.fields if obj is None else (*DefinitionForm.Meta.fields, "in_versions")

    def has_delete_permission(self, request: HttpRequest, obj: FeatureDefinition | None = None) -> bool:
        """Not while a version computes, publishes or reads it."""
        is_used = obj is not None and obj.versions.exists()
        return not is_used and bool(super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: FeatureDefinition, form: DefinitionForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(registry.forget)

    def delete_model(self, request: HttpRequest, obj: FeatureDefinition) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(registry.forget)

    @display(description="Type", ordering="feature_type", label=True)
    def kind(self, definition: FeatureDefinition) -> str:
        return definition.get_feature_type_display()

    @display(description="Range")
    def bounds(self, definition: FeatureDefinition) -> str:
        least, most = definition.minimum, definition.maximum
        if least is None and most is None:
            return "any number"
        return f"{'−∞' if least is None else f'{least:g}'} to {'∞' if most is None else f'{most:g}'}"

    @display(description="In versions")
    def in_versions(self, definition: FeatureDefinition) -> str:
        return ", ".join(sorted(map(str, definition.versions.all()))) or "none"
