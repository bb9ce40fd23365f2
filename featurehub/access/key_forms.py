"""Forms of API keys in the admin."""

from datetime import datetime, timedelta

from django.forms import ChoiceField, Form, IntegerField, ModelForm, MultipleChoiceField, ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
)

from featurehub.access.key_arguments import HOURS_OF_BOTH, LONGEST_DAYS, in_days
from featurehub.access.models import ApiKey, Scope

SCOPES = {
    Scope.READ: "read: values, history, explanations",
    Scope.WRITE: "write: clients' own values, erasure",
    Scope.INGEST: "ingest: events",
    Scope.METRICS: "metrics: the figures for Prometheus",
}
EDITED = ("requests_per_minute", "expires_at")
HELP = {
    "name": "The program that is going to use it.",
    "requests_per_minute": "Requests beyond it are answered with 429 until the minute is over. Empty: no limit.",
    "expires_at": "From then on it is refused (UTC). Empty: it does not expire.",
}
# How long both keys are valid, in hours.
OVERLAPS = {0: "at once", 1: "in an hour", 24: "in a day", HOURS_OF_BOTH: "in a week", 30 * 24: "in 30 days"}


class EditedKeyForm(ModelForm):  # type: ignore[type-arg]
    """The fields of an existing key that can be edited."""

    class Meta:
        model = ApiKey
        fields = EDITED
        help_texts = HELP

    def clean_expires_at(self) -> datetime | None:
        """Return the end. Raise ValidationError for a new one that is past: revoking says who did it."""
        ends: datetime | None = self.cleaned_data["expires_at"]
        if ends is not None and "expires_at" in self.changed_data and ends <= timezone.now():
            raise ValidationError("It must be in the future. To end a key now, revoke it.")
        return ends


class ApiKeyForm(EditedKeyForm):
    scopes = MultipleChoiceField(
        choices=list(SCOPES.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="As few as its program needs. They can't be changed later: make another key instead.",
    )

    class Meta(EditedKeyForm.Meta):
        fields = ("name", "scopes", *EDITED)  # type: ignore[assignment]


class RotationForm(Form):
    """When the old key ends, and when the new one does."""

    old_ends = ChoiceField(
        label="The old key ends",
        choices=[(str(hours), words) for hours, words in OVERLAPS.items()],
        initial=str(HOURS_OF_BOTH),
        widget=UnfoldAdminSelectWidget,
        help_text="Until then both are valid, so that its programs can change to the new one.",
    )
    expires_in_days = IntegerField(
        label="The new key expires after so many days",
        required=False,
        min_value=1,
        max_value=LONGEST_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Empty: it does not expire.",
    )

    def old_ends_at(self, now: datetime) -> datetime:
        return now + timedelta(hours=int(self.cleaned_data["old_ends"]))

    def expires_at(self) -> datetime | None:
        return in_days(self.cleaned_data["expires_in_days"])
