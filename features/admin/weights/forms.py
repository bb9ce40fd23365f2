"""The forms of weight sets: the numbers, and the moment of a scheduled activation."""

from datetime import UTC
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from features.admin.step_pages import StepForm
from features.models import Weight, WeightSet
from features.registry.weight_sets import weighed_types

MOST_DECIMALS = {"step": "any", "inputmode": "decimal"}


class WeightSetForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = WeightSet
        fields = ("name", "reason", "monetary_norm")
        widgets = {"reason": UnfoldAdminTextareaWidget(attrs={"rows": 3})}


class WeightForm(forms.ModelForm):  # type: ignore[type-arg]
    """One event type's row. The event type is not editable: what a browser sends for it is ignored."""

    event_type = forms.CharField(disabled=True, widget=UnfoldAdminTextInputWidget())
    weight = forms.FloatField(
        min_value=0.0, widget=UnfoldAdminDecimalFieldWidget(attrs={**MOST_DECIMALS, "min": "0"}),
        error_messages={"min_value": "A weight is at least 0.", "invalid": "Enter a number, such as 0.25."},
    )  # fmt: skip
    norm = forms.FloatField(
        widget=UnfoldAdminDecimalFieldWidget(attrs={**MOST_DECIMALS, "min": "0"}),
        error_messages={"invalid": "Enter a number, such as 20."},
    )

    class Meta:
        model = Weight
        fields = ("event_type", "weight", "norm")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Name each field after its row and column: the inline's table has no labels."""
        super().__init__(*args, **kwargs)
        words = str(self.initial.get("event_type", "")).replace("_", " ").capitalize()
        for name, label in (("event_type", "event type"), ("weight", "weight"), ("norm", "norm")):
            self.fields[name].widget.attrs["aria-label"] = f"{words}, {label}"

    def has_changed(self) -> bool:
        """Return True for a new set, so that its rows are saved even where nobody edited the proposed numbers."""
        return self.instance.pk is None or super().has_changed()


class WeightFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    def clean(self) -> None:
        """Raise ValidationError unless there is a row for each event type, one of them with a weight above 0."""
        super().clean()
        if any(self.errors):
            return
        rows: list[dict[str, Any]] = [form.cleaned_data for form in self.forms]
        types = [row["event_type"] for row in rows]
        if len(set(types)) < len(types) or not set(weighed_types()) <= set(types):
            raise ValidationError("There is one row for each event type: load the page again.")
        if not any(row["weight"] for row in rows):
            raise ValidationError("All weights are zero, so every customer would score 0: give one a weight above 0.")


class ScheduleForm(StepForm):
    """The reason, and the moment of activation in UTC."""

    at = forms.DateTimeField(
        label="When (UTC)",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": "60"}),
        error_messages={"required": "Choose a day and a time.", "invalid": "Choose a day and a time."},
    )
    field_order = ("at", "reason")

    def clean_at(self) -> Any:
        return self.cleaned_data["at"].replace(tzinfo=UTC)
