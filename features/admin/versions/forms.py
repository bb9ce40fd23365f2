"""The forms of a version's steps that need more than a reason."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from featurehub.admin.forms import ReasonForm
from features.admin.step_pages import StepForm
from features.lifecycle import drafts
from features.lifecycle.backfills import PAST_DAYS, Backfill, propose_backfill
from features.lifecycle.drafts import version_key
from features.lifecycle.steps import SAY_WHY, VersionState
from features.lifecycle.uses import pinning_sets, recent_uses
from features.models import FeatureType, FeatureVersion
from features.models.definitions import WRITTEN_BY_CLIENTS

INPUT_TYPES = [feature_type for feature_type in FeatureType if feature_type != FeatureType.DERIVED]


class DraftForm(ReasonForm):
    """The reason of a new draft, its number, and the version that it is copied from."""

    number = forms.CharField(
        max_length=16,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Greater than all before it, in numbers with dots between.",
    )
    based_on = forms.ChoiceField(label="With the features of", widget=UnfoldAdminSelectWidget())
    field_order = ("number", "based_on", "reason")

    def __init__(self, *args: Any, feature_type: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].error_messages["required"] = SAY_WHY.format(kept_with="version")
        rows = FeatureVersion.objects.filter(feature_type=feature_type)
        newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
        live_first = sorted(newest, key=lambda row: row.state != VersionState.LIVE)
        field = self.fields["based_on"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(row.number, f"{row}, {row.get_state_display().lower()}") for row in live_first]
        self.fields["number"].initial = drafts.next_number(feature_type)


class RetireForm(StepForm):
    """The reason and, where somebody used the version lately or a feature set pins it, a confirmation."""

    subject: FeatureVersion

    confirmed = forms.BooleanField(required=False, label="Retire anyway")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not recent_uses(self.subject).exists() and not pinning_sets(self.subject):
            del self.fields["confirmed"]


class BackfillForm(StepForm):
    """The reason, and the first day of the past that is to be computed."""

    subject: FeatureVersion
    backfill_since = forms.DateField(
        label="Compute its past from", widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        error_messages={"invalid": "Choose a day.", "required": "Choose a day."},
    )  # fmt: skip
    field_order = ("backfill_since", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        proposal = propose_backfill(self.subject)
        self.fields["backfill_since"].initial = proposal.since
        self.fields["backfill_since"].help_text = cost_in_words(proposal)


class ShadowForm(BackfillForm):
    """As the form of a backfill, but a day is not required; no day at all for values that clients write."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["backfill_since"]
        field.required = False
        field.help_text += " Empty: it has no past. It can be computed later."
        if self.subject.feature_type in WRITTEN_BY_CLIENTS:
            del self.fields["backfill_since"]


def cost_in_words(proposal: Backfill) -> str:
    """Return what the proposed backfill costs."""
    if proposal.since is None:
        return "The live version has no values yet, so no day is proposed."
    cost = f"{proposal.customers} customers × {proposal.days} days, at most {proposal.computations:,} rows of history"
    return (
        "One row a day for each customer whose values changed, from the first day of the live version, at most "
        f"{PAST_DAYS} days. The proposed days cost up to {cost}; each day reads the events of its windows once. "
        "It is done after today's values, can be followed on the version's page, and goes on where it was after a "
        "restart. Until it is done, reads of these days say “not computed”."
    )


class LifetimeForm(StepForm):
    """The reason, and the time to live."""

    subject: FeatureVersion
    time_to_live = forms.IntegerField(
        label="Seconds until values are expired", required=False, min_value=1,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number", "min": "1"}),
        help_text="Older values are read as missing, for the reason “expired”. Empty: values don't expire.",
    )  # fmt: skip
    field_order = ("time_to_live", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_to_live"].initial = self.subject.time_to_live


class InputsForm(StepForm):
    """The reason, and a field for each other type: the version of it that the expressions read."""

    subject: FeatureVersion

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for feature_type in INPUT_TYPES:
            rows = FeatureVersion.objects.filter(feature_type=feature_type).exclude(state=VersionState.RETIRED)
            newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
            choices = [(row.number, f"{row}, {row.get_state_display().lower()}") for row in newest]
            self.fields[feature_type] = forms.ChoiceField(
                label=feature_type.label, choices=[*choices, ("", "none")], required=False,
                widget=UnfoldAdminSelectWidget(), initial=self.subject.inputs.get(feature_type, ""),
            )  # fmt: skip
        self.order_fields([*INPUT_TYPES, "reason"])

    @property
    def inputs(self) -> dict[str, str]:
        """The versions chosen, feature type → number; of a valid form only."""
        chosen = {feature_type: self.cleaned_data[feature_type] for feature_type in INPUT_TYPES}
        return {str(feature_type): number for feature_type, number in chosen.items() if number}
