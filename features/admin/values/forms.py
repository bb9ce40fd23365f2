"""The forms of value monitoring: the baseline week, and the thresholds of a feature."""

from datetime import date

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from featurehub.admin.forms import reason_field
from features.monitoring.profiles import days_from, finished_days


class BaselineForm(forms.Form):
    """The first day of the week that later days are compared with, and why this one."""

    first_day = forms.DateField(
        label="First day of the week",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        error_messages={"invalid": "Choose a day.", "required": "Choose a day."},
    )
    reason = reason_field(label="Why this week?", help_text="It is kept with your name and the time.")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["reason"].widget.attrs.pop("autofocus", None)

    def clean_first_day(self) -> date:
        """Raise ValidationError for a week of which no day is profiled."""
        first: date = self.cleaned_data["first_day"]
        if not finished_days().filter(day__in=days_from(first)).exists():
            raise ValidationError("No day of this week is profiled.")
        return first


class ThresholdsForm(forms.Form):
    """Above what a feature has shifted."""

    stability_index = forms.FloatField(
        label="Stability index", min_value=0.001, max_value=100.0,
        help_text="Usual readings: below 0.1 no shift, above 0.25 a large one.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number", "step": "any", "min": "0.001"}),
    )  # fmt: skip
    largest_distance = forms.FloatField(
        label="Largest distance", min_value=0.001, max_value=1.0,
        help_text="The largest difference of the shares of customers up to any value, from 0 to 1.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number", "step": "any", "min": "0.001", "max": "1"}),
    )  # fmt: skip
