"""The forms of a version's steps: why each is taken, and what it needs besides."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from features.admin.weights.forms import ReasonForm
from features.lifecycle import drafts, version_steps
from features.lifecycle.drafts import version_key
from features.lifecycle.steps import SAY_WHY
from features.models import FeatureType, FeatureVersion

State = FeatureVersion.State


class WhyForm(ReasonForm):
    """Why something is done to a version."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].error_messages["required"] = SAY_WHY


class DraftForm(WhyForm):
    """A new draft's number, and the version that it starts from."""

    number = forms.CharField(
        max_length=16,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Greater than all before it, in numbers with dots between.",
    )
    based_on = forms.ChoiceField(label="With the features of", widget=UnfoldAdminSelectWidget())
    field_order = ("number", "based_on", "reason")

    def __init__(self, *args: Any, feature_type: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = FeatureVersion.objects.filter(feature_type=feature_type)
        newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
        live_first = sorted(newest, key=lambda row: row.state != FeatureVersion.State.LIVE)
        field = self.fields["based_on"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(row.number, f"{row}, {row.get_state_display().lower()}") for row in live_first]
        self.fields["number"].initial = drafts.next_number(feature_type)


class VersionReasonForm(WhyForm):
    """Why a step is taken; some forms need the version."""

    def __init__(self, *args: Any, version: FeatureVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version

    @property
    def why(self) -> str:
        """Of a valid form."""
        reason: str = self.cleaned_data["reason"]
        return reason


class RetireForm(VersionReasonForm):
    """The second word appears where somebody still reads or writes the version."""

    confirmed = forms.BooleanField(required=False, label="Retire it although it is used")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not version_steps.recent_uses(self.version).exists():
            del self.fields["confirmed"]


class LifetimeForm(VersionReasonForm):
    time_to_live = forms.IntegerField(
        label="Seconds until values are expired", required=False, min_value=1,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number", "min": "1"}),
        help_text="Older values are read as missing, for the reason “expired”. Empty: values don't expire.",
    )  # fmt: skip
    field_order = ("time_to_live", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_to_live"].initial = self.version.time_to_live


class InputsForm(VersionReasonForm):
    """A field for each other type: which version of it the expressions read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = [feature_type for feature_type in FeatureType if feature_type != FeatureType.DERIVED]
        for feature_type in others:
            rows = FeatureVersion.objects.filter(feature_type=feature_type).exclude(state=State.RETIRED)
            newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
            choices = [(row.number, f"{row}, {row.get_state_display().lower()}") for row in newest]
            self.fields[feature_type] = forms.ChoiceField(
                label=feature_type.label, choices=[*choices, ("", "none")], required=False,
                widget=UnfoldAdminSelectWidget(), initial=self.version.inputs.get(feature_type, ""),
            )  # fmt: skip
        self.order_fields([*others, "reason"])

    @property
    def inputs(self) -> dict[str, str]:
        """Of a valid form."""
        return {name: number for name, number in self.cleaned_data.items() if name != "reason" and number}
