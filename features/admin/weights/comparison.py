"""Two weight sets side by side: their numbers, and the scores of one against the other."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget

from featurehub.admin.permissions import may
from features.admin.weights.studio import DEFAULT_THRESHOLD, preview_context
from features.lifecycle.steps import WeightSetState
from features.models import WeightSet
from features.registry.weight_sets import as_weights, live_set, weighed_types
from features.tuning import sample
from features.tuning.score_preview import preview_scores


class WeightSetChoiceField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A field to choose a set by its name and standing."""

    def __init__(self) -> None:
        sets = WeightSet.objects.select_related("version")
        super().__init__(sets, empty_label=None, widget=UnfoldAdminSelectWidget())

    def label_from_instance(self, obj: WeightSet) -> str:
        return f"{obj}, {obj.standing.lower()}"


class WeightComparisonForm(forms.Form):
    """The choice of two sets; at first the active one of the live version and the newest other."""

    left = WeightSetChoiceField()
    right = WeightSetChoiceField()


def weight_comparison_page(request: HttpRequest, *, context: dict[str, Any]) -> HttpResponse:
    """Show two sets, chosen by ?left=1&right=2."""
    if not may(request, "features.view_weightset"):
        raise PermissionDenied
    active = live_set()
    other = WeightSet.objects.exclude(state=WeightSetState.ACTIVE).first() or active
    form = WeightComparisonForm({"left": active, "right": other} | request.GET.dict())
    values: dict[str, Any] = {"title": "Compare weight sets", "form": form}
    if form.is_valid():
        values |= weight_figures(form.cleaned_data["left"], form.cleaned_data["right"])
    return TemplateResponse(request, "features/weights/comparison.html", {**context, **values})


def weight_figures(left: WeightSet, right: WeightSet) -> dict[str, Any]:
    """Return the rows of the table of numbers, and the preview's figures from the left to the right set."""
    first, second = as_weights(left), as_weights(right)
    rows = [
        {
            "event_type": name,
            "weights": (first.weight_of(name), second.weight_of(name)),
            "norms": (first.norm_of(name), second.norm_of(name)),
        }
        for name in weighed_types(first, second)
    ]
    figures = preview_scores(
        sample.current_sample(opened=True), active=first, tried=second, threshold=DEFAULT_THRESHOLD
    )
    names = {"before": f"#{left.pk}", "after": f"#{right.pk}"}
    return {"left": left, "right": right, "rows": rows, **preview_context(figures, **names)}
