"""The form of a feature: its meaning, which is fixed once a version computes it, and its description."""

from typing import Any, NamedTuple

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from events.registered_types import event_types
from featurehub.lib.errors import InvalidError
from features.lifecycle.definitions import (
    KINDS_WITH_HALF_LIFE,
    MEANING,
    WINDOW,
    is_word_of_expressions,
    problems_of_window,
)
from features.lifecycle.drafts import BEFORE_RETIREMENT, live_inputs, next_number, version_key
from features.lifecycle.requirements import check_expressions
from features.lifecycle.steps import VersionState
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.models.definitions import LIST_PLACES, WRITTEN_BY_CLIENTS
from features.registry.snapshot import registry_snapshot
from features.registry.window_text import parse_window, window_text

NEW_DRAFT = "new"
TYPE_CHOICES = {
    FeatureType.BEHAVIORAL.value: "Behavioral: computed from the events of a window",
    FeatureType.DERIVED.value: "Derived: computed from other features",
    FeatureType.CUSTOMER.value: "Customer: written by clients, about the customer",
    FeatureType.CONTEXTUAL.value: "Contextual: written by clients, about the moment",
}


class Surroundings(NamedTuple):
    """The sources of an expression's names in a version: its other definitions, and its input versions."""

    others: list[FeatureDefinition]
    inputs: dict[str, str]


def surroundings_in(version: FeatureVersion, *, but: FeatureDefinition | None = None) -> Surroundings:
    others = version.definitions.all() if but is None else version.definitions.exclude(pk=but.pk)
    return Surroundings(list(others), version.inputs)


def usable_in(surroundings: Surroundings) -> list[str]:
    """Return the names that an expression may use."""
    known = registry_snapshot.get()
    inputs = [known.views[key] for key in surroundings.inputs.items() if key in known.views]
    return [*(other.name for other in surroundings.others), *(name for view in inputs for name in view.names)]


def in_a_new_draft() -> Surroundings:
    """Return the surroundings in a new draft: the live version's definitions, and the live versions as inputs."""
    live = FeatureDefinition.objects.filter(
        versions__feature_type=FeatureType.DERIVED, versions__state=VersionState.LIVE
    )
    return Surroundings(list(live), live_inputs())


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


class WindowField(forms.CharField):
    """A window as text, such as "6h" or "7d"; whole hours in Python, None where it is empty."""

    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return window_text(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return parse_window(text) if text else None
        except InvalidError as error:
            raise forms.ValidationError(error.detail) from error


class VersionField(forms.ChoiceField):
    """The version of a type to add a new feature to: a draft or, where clients write, any that is not retired."""

    def __init__(self, feature_type: FeatureType) -> None:
        self.feature_type = feature_type
        super().__init__(
            label="Add it to", required=False, choices=self.versions, initial=lambda: self.versions()[0][0],
            widget=UnfoldAdminSelectWidget(),
            help_text="" if feature_type in WRITTEN_BY_CLIENTS else (
                "It is computed once the draft is put into shadow. A version that is computed already does not change."
            ),
        )  # fmt: skip

    def versions(self) -> list[tuple[str, str]]:
        rows = list(FeatureVersion.objects.filter(feature_type=self.feature_type, state__in=BEFORE_RETIREMENT))
        newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
        if self.feature_type in WRITTEN_BY_CLIENTS:
            at_once = sorted(newest, key=lambda row: row.state != VersionState.LIVE)
            return [(str(row.pk), f"{row}, {row.get_state_display().lower()}") for row in at_once]
        drafts = [(str(row.pk), f"the draft {row}") for row in newest if row.state == VersionState.DRAFT]
        new = (NEW_DRAFT, f"a new draft {self.feature_type}:{next_number(self.feature_type)}")
        return [*drafts, new, ("", "no version yet")]


class EventTypeField(forms.ChoiceField):
    """The registered event type whose events count; empty: all types. An archived one can be chosen, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=self.types, required=False, widget=UnfoldAdminSelectWidget(), **options)

    def types(self) -> list[tuple[str, str]]:
        known = event_types.get()
        labels = [
            (name, label if name in known.accepted else f"{label}, archived") for name, label in known.labels.items()
        ]
        return [("", "all types"), *labels]


class DefinitionForm(forms.ModelForm):  # type: ignore[type-arg]
    event_type = EventTypeField(
        label="Event type",
        help_text="Only events of this type count; none: all types. Further types are registered under Event types.",
    )
    window_hours = WindowField(
        label="Window",
        required=False,
        help_text="How far back events count, from 1h to 90d: for example 1h, 24h (which is 1d) or 7d.",
    )
    tags = TagsField(required=False, help_text="Separated by commas.")

    class Meta:
        model = FeatureDefinition
        fields = (
            "name", "feature_type", *WINDOW, "expression",
            "description", "owner", "unit", "default", "minimum", "maximum", "tags", "list_place",
        )  # fmt: skip
        labels = {
            "list_place": "Place in customer lists",
            "half_life_days": "Half-life in days",
            "kind": "What",
        }
        help_texts = {
            "name": "What clients ask for, such as shoes_spend_14d. It can't be changed later.",
            "kind": "What is computed of the events in the window.",
            "category": "Only events with exactly this category count; empty: all, with or without one.",
            "metadata_key": "Of which key of the events' metadata; events without it, or with no number, don't count.",
            "half_life_days": "An event this old counts half, one twice as old a quarter. Empty: all count the same.",
            "expression": (
                "Names of features, numbers, + - * /, comparisons, and abs, clamp, coalesce, exp, log, max, min, "
                "round, sqrt, where. For example clamp(cart_value / 100, 0, 1)."
            ),
            "owner": "The team to ask about it.",
            "unit": "Such as days, currency or share.",
            "default": "What a read gives where there is no value; it says so in “missing” either way.",
            "minimum": "The smallest value; a client that writes a smaller one is refused.",
            "list_place": (
                f"1 to {LIST_PLACES}: the column of customer lists, which can be sorted by it. Empty: not listed. "
                "The lists are filled in again, which takes about a minute for each million customers."
            ),
            "maximum": "The largest value; a client that writes a larger one is refused.",
        }
        widgets = {
            "category": UnfoldAdminTextInputWidget(attrs={"list": "seen-categories", "autocomplete": "off"}),
            "metadata_key": UnfoldAdminTextInputWidget(attrs={"list": "seen-keys", "autocomplete": "off"}),
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            "expression": UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false", "class": "fh-code"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "default" in self.fields:
            self.fields["default"].required = False
        if "expression" in self.fields:
            names = {name for surroundings in self.surroundings({}) for name in usable_in(surroundings)}
            self.fields["expression"].help_text += f" Features: {', '.join(sorted(names))}."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if is_word_of_expressions(name):
            raise forms.ValidationError(f"{name} is a word of expressions: choose another name.")
        return name

    def clean_category(self) -> str | None:
        return self.cleaned_data["category"] or None

    def clean_default(self) -> float:
        default = self.cleaned_data.get("default")
        return 0.0 if default is None else default

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        feature_type = data.get("feature_type", self.instance.feature_type)
        self.clear_what_is_of_other_types(data, feature_type=feature_type)
        if "kind" in self.fields and feature_type == FeatureType.BEHAVIORAL:
            self.check_window(data)
        if "expression" in self.fields and feature_type == FeatureType.DERIVED:
            self.check_expression(data)
        self.check_range(data)
        return data

    def clear_what_is_of_other_types(self, data: dict[str, Any], *, feature_type: str) -> None:
        """Clear the fields that the page hides for this type or kind: they may have been filled in before."""
        empty = dict.fromkeys(WINDOW, "") | {"category": None, "window_hours": None, "half_life_days": None}
        kept: set[str] = set(MEANING.get(feature_type, ()))
        if data.get("kind") == FeatureDefinition.Kind.COUNT:
            kept.discard("metadata_key")
        if data.get("kind") not in KINDS_WITH_HALF_LIFE:
            kept.discard("half_life_days")
        for name, value in (empty | {"expression": ""}).items():
            if name in self.fields and name not in kept:
                data[name] = value
                self.errors.pop(name, None)

    def check_window(self, data: dict[str, Any]) -> None:
        given = {name: data[name] for name in WINDOW if data.get(name) is not None}
        for field, sentence in problems_of_window(FeatureDefinition(**given)):
            if field not in self.errors:
                self.add_error(field, sentence)

    def check_expression(self, data: dict[str, Any]) -> None:
        """Check the expression in each version that the feature is in, or is to be added to."""
        if not data.get("expression"):
            self.add_error("expression", "Say how it is computed from other features.")
            return
        name = data.get("name") or self.instance.name
        if not name:
            return
        definition = FeatureDefinition(name=name, feature_type=FeatureType.DERIVED, expression=data["expression"])
        known = registry_snapshot.get(younger_than=0)
        for surroundings in self.surroundings(data):
            try:
                check_expressions([*surroundings.others, definition], inputs=surroundings.inputs, known=known)
            except InvalidError as error:
                self.add_error("expression", error.detail)
                return

    def surroundings(self, data: dict[str, Any]) -> list[Surroundings]:
        """Return those of the versions that the feature is in, or of a draft that would be made now."""
        versions = self.instance.versions.all() if self.instance.pk else []
        return [surroundings_in(version, but=self.instance) for version in versions] or [in_a_new_draft()]

    def check_range(self, data: dict[str, Any]) -> None:
        minimum, maximum = data.get("minimum"), data.get("maximum")
        if minimum is not None and maximum is not None and minimum > maximum:
            self.add_error("maximum", "The maximum is at least the minimum.")


class FixedDefinitionForm(DefinitionForm):
    """A feature whose computation is fixed; the page shows the window, so that the form has no field for it."""

    window_hours = None  # type: ignore[assignment]


class NewDefinitionForm(DefinitionForm):
    """A new feature, and the version to add it to: a field for each type, of which the page shows one."""

    feature_type = forms.ChoiceField(
        label="Type",
        choices=list(TYPE_CHOICES.items()),
        widget=UnfoldAdminSelectWidget(choices=list(TYPE_CHOICES.items())),
        help_text="Whether FeatureHub computes it, and from what, or clients write it. It can't be changed later.",
    )
    version_behavioral = VersionField(FeatureType.BEHAVIORAL)
    version_derived = VersionField(FeatureType.DERIVED)
    version_customer = VersionField(FeatureType.CUSTOMER)
    version_contextual = VersionField(FeatureType.CONTEXTUAL)

    def chosen_version(self, data: dict[str, Any]) -> FeatureVersion | str | None:
        """Return the version to add the feature to, NEW_DRAFT, or None."""
        choice = data.get(f"version_{data.get('feature_type')}")
        if not choice or choice == NEW_DRAFT:
            return choice or None
        return FeatureVersion.objects.get(pk=choice)

    def surroundings(self, data: dict[str, Any]) -> list[Surroundings]:
        """Return those of the draft that the feature is to be in, or of one that would be made now."""
        chosen = self.chosen_version(data)
        return [surroundings_in(chosen) if isinstance(chosen, FeatureVersion) else in_a_new_draft()]
