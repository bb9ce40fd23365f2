"""The page on which a version goes live: the weights of both versions, how scores move, and what else differs."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from unfold.widgets import UnfoldAdminTextInputWidget

from featurehub.lib.errors import InvalidError
from features.admin.step_pages import StepForm
from features.admin.weights.studio import DEFAULT_THRESHOLD
from features.formulas.behavioral import Weights
from features.formulas.expressions import parse
from features.lifecycle.shown import CAN_GO_LIVE, in_use
from features.lifecycle.weight_set_steps import are_newer
from features.models import FeatureDefinition, FeatureType, FeatureVersion, WeightSet
from features.registry.snapshot import key_of_version, registry_snapshot
from features.registry.weight_sets import active_set, as_weights, weighed_types
from features.tuning import sample
from features.tuning.score_preview import ScoreMover, ScorePreview, crossing, preview_scores
from features.tuning.version_comparison import compare_versions

CARRY, KEEP = "carry", "keep"
CROSSING_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSets:
    """The active set of the live version (`live`), and that of the version that is to go live (`own`)."""

    live: WeightSet
    own: WeightSet

    @property
    def are_equal(self) -> bool:
        """The claim that both give the same scores."""
        return as_weights(self.live) == as_weights(self.own)

    @property
    def live_is_newer(self) -> bool:
        """The claim that the live version's set was activated after the other."""
        return are_newer(self.live, than=self.own)

    @property
    def proposal(self) -> str:
        """The choice that the form proposes: the newer weights."""
        return CARRY if self.live_is_newer else KEEP


def two_sets(version: FeatureVersion) -> TwoSets | None:
    """Return the active sets of both versions; None for a type without weights, and a version that can't go live."""
    live = in_use(version)
    if version.feature_type != FeatureType.BEHAVIORAL or version.state not in CAN_GO_LIVE or live is None:
        return None
    assert isinstance(live, FeatureVersion)
    return TwoSets(live=active_set(live.number), own=active_set(version.number))


class GoLiveForm(StepForm):
    """The reason and, where the weights of the two versions differ, which of them go on."""

    subject: FeatureVersion
    weights = forms.ChoiceField(label="Which weights?", required=False, widget=forms.RadioSelect())
    field_order = ("weights", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sets = two_sets(self.subject)
        if sets is None or sets.are_equal:
            del self.fields["weights"]
            return
        field = self.fields["weights"]
        assert isinstance(field, forms.ChoiceField)
        newer = {CARRY: sets.live_is_newer, KEEP: not sets.live_is_newer}
        texts = {
            CARRY: f"Carry over {sets.live}, the weights of {sets.live.version}: no score changes through weights",
            KEEP: f"Keep {sets.own}, the weights that {self.subject} has: scores change as shown above",
        }
        field.choices = [
            (name, text + (" (these are the newer ones)" if newer[name] else "")) for name, text in texts.items()
        ]
        field.initial = sets.proposal
        field.help_text = (
            "Where weights are carried over, everybody is scored with them first. "
            "Readers are switched when that is done."
        )

    @property
    def carries(self) -> bool | None:
        """The choice; None where there was none, or none was sent."""
        chosen = self.cleaned_data.get("weights")
        return {CARRY: True, KEEP: False}.get(chosen) if chosen else None


class ThresholdForm(forms.Form):
    """The score that something of the reader's depends on."""

    threshold = forms.FloatField(
        label="Your threshold", min_value=0.0, max_value=1.0,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number", "min": "0", "max": "1", "step": "0.01"}),
        error_messages=dict.fromkeys(
            ("required", "min_value", "max_value", "invalid"), "A threshold is a score from 0 to 1."
        ),
    )  # fmt: skip


def going_live_context(version: FeatureVersion, *, query: QueryDict) -> dict[str, Any]:
    """Return the template context of what changes; empty for a version that is live."""
    live = in_use(version)
    if not isinstance(live, FeatureVersion):
        return {}
    known = registry_snapshot.get(younger_than=0)
    figures = compare_versions(known.view(live.feature_type, live.number), known.view(*key_of_version(version)))
    context: dict[str, Any] = {"live": live, "figures": figures, "staying": derived_versions_of(live)}
    if figures is not None:
        context["differing"] = [row for row in figures.compared if row.differ]
    sets = two_sets(version)
    return {"going_live": context | (weights_context(sets, query=query) if sets is not None else {})}


def derived_versions_of(version: FeatureVersion) -> list[FeatureVersion]:
    """Return the derived versions that are not retired and read a feature from this version."""
    rows = FeatureVersion.objects.filter(feature_type=FeatureType.DERIVED).exclude(state=FeatureVersion.State.RETIRED)
    names = set(version.definitions.values_list("name", flat=True))
    return [
        row
        for row in rows.order_by("pk").prefetch_related("definitions")
        if row.inputs.get(version.feature_type) == version.number
        and any(reads_one_of(names, definition=definition) for definition in row.definitions.all())
    ]


def reads_one_of(names: set[str], *, definition: FeatureDefinition) -> bool:
    """Return whether the expression reads one of the names. One that can't be parsed reads nothing."""
    try:
        return not names.isdisjoint(parse(definition.expression).names)
    except InvalidError:
        return False


def weights_context(sets: TwoSets, *, query: QueryDict) -> dict[str, Any]:
    """Return the table of both versions' weights and, where they differ, how scores move."""
    live, own = as_weights(sets.live), as_weights(sets.own)
    rows = [
        {
            "event_type": name,
            "weights": (live.weight_of(name), own.weight_of(name)),
            "norms": (live.norm_of(name), own.norm_of(name)),
        }
        for name in weighed_types(live, own)
    ]
    moved = {} if sets.are_equal else moves_context(live, own, query=query)
    moving = sets.live.version.weight_sets.filter(activated_at__isnull=True).order_by("pk")
    return {"sets": sets, "rows": rows, "moving": moving, **moved}


def moves_context(live: Weights, own: Weights, *, query: QueryDict) -> dict[str, Any]:
    """Return how the scores move where the version keeps its own weights, around a threshold that can be chosen."""
    form = ThresholdForm({"threshold": DEFAULT_THRESHOLD} | query.dict())
    threshold = form.cleaned_data["threshold"] if form.is_valid() else DEFAULT_THRESHOLD
    customers = sample.current_sample(opened=True)
    preview: ScorePreview | None = preview_scores(customers, active=live, tried=own, threshold=threshold)
    crossed: list[ScoreMover] = crossing(customers, active=live, tried=own, threshold=threshold)
    changed = preview.sampled - preview.unchanged if preview is not None else 0
    return {"threshold": form, "preview": preview, "changed": changed, "crossing": crossed[:CROSSING_SHOWN]}
