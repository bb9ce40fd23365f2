"""Forms that the admin of more than one app uses."""

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget


def reason_field(*, label: str = "Why?", max_length: int = 2_000, help_text: str) -> forms.CharField:
    """Return a required field for the reason of a step. `help_text` says where the reason is kept."""
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "autofocus": True})
    return forms.CharField(label=label, max_length=max_length, widget=widget, help_text=help_text)


class ReasonForm(forms.Form):
    """A form that asks for the reason of a step. Forms with more fields derive from it."""

    reason = reason_field(help_text="It is kept in the timeline with your name and the time.")

    @property
    def why(self) -> str:
        """The reason; of a valid form only."""
        reason: str = self.cleaned_data["reason"]
        return reason
