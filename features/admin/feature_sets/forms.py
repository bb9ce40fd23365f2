"""The form of a new feature set: its name, its features in their order, and the version of each type."""

import re
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from featurehub.admin.forms import ReasonForm
from features.lifecycle.drafts import version_key
from features.lifecycle.steps import SAY_WHY
from features.models import READABLE_STATES, FeatureDefinition, FeatureSet, FeatureType, FeatureVersion

BETWEEN_NAMES = re.compile(r"[\s,]+")


class FeatureSetForm(ReasonForm):
    """The fields of a new set. A version is chosen for each type, at first the live one, so that all is shown."""

    name = forms.CharField(
        max_length=64, widget=UnfoldAdminTextInputWidget(),
        help_text="What it is for, such as churn_model. A name that has sets already gets the next number.",
    )  # fmt: skip
    features = forms.CharField(
        label="Features, in the order in which they are read",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        help_text="One a line, or with commas between.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs.pop("autofocus", None)
        self.fields["reason"].help_text = "It is kept with the set, with your name and the time."
        self.fields["reason"].error_messages["required"] = SAY_WHY.format(kept_with="set")
        for feature_type in FeatureType:
            rows = readable_versions(feature_type)
            self.fields[feature_type] = forms.ChoiceField(
                label=f"Version of {feature_type.value} features", widget=UnfoldAdminSelectWidget(),
                choices=[(row.number, f"{row}, {row.get_state_display().lower()}") for row in rows],
            )  # fmt: skip
        self.order_fields(["name", "features", *FeatureType, "reason"])

    @property
    def names(self) -> list[str]:
        """The features in their order; of a valid form only."""
        return [name for name in BETWEEN_NAMES.split(self.cleaned_data["features"]) if name]

    @property
    def versions(self) -> list[str]:
        """The pins that were chosen, of the types that the features are of; of a valid form only."""
        types = FeatureDefinition.objects.filter(name__in=self.names).values_list("feature_type", flat=True)
        return [f"{feature_type}:{self.cleaned_data[feature_type]}" for feature_type in sorted(set(types))]


def readable_versions(feature_type: str) -> list[FeatureVersion]:
    """Return the versions of a type that can be read: the live one first, then the newest."""
    rows = FeatureVersion.objects.filter(feature_type=feature_type, state__in=READABLE_STATES)
    newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
    return sorted(newest, key=lambda row: row.state != FeatureVersion.State.LIVE)


def fields_like(feature_set: FeatureSet | None) -> dict[str, str]:
    """Return what the form begins with: the contents of a set, of whose versions those that can still be read."""
    if feature_set is None:
        return {}
    readable = {str(row) for feature_type in feature_set.versions for row in readable_versions(feature_type)}
    pinned = {key: number for key, number in feature_set.versions.items() if f"{key}:{number}" in readable}
    return {"name": feature_set.name, "features": "\n".join(feature_set.names), **pinned}
