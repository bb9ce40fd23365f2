"""The studio: sliders for the numbers on one side, a preview of the scores on the other."""

import math
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from events.event_types import EMAIL_CLICK, EMAIL_OPEN, EVENT_TYPES, FORM_SUBMIT, PAGE_VIEW, PURCHASE
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.admin.weights.charts import movers_chart, score_histogram, segments_chart
from features.formulas.behavioral import Weights
from features.lifecycle import weight_set_steps
from features.lifecycle.steps import SAY_WHY, VersionState
from features.models import WeightSet
from features.registry.weight_sets import active_set, as_weights
from features.tuning import sample
from features.tuning.score_preview import QUANTILES, ScorePreview, preview_scores

DEFAULT_THRESHOLD = 0.5
LARGEST_WEIGHT = 1.0
# The weight of each event type relative to the others; a preset keeps the active set's sum and norms.
PRESETS = {
    "Equal weights": dict.fromkeys(EVENT_TYPES, 1.0),
    "Purchases first": {name: 5.0 if name == PURCHASE else 1.0 for name in EVENT_TYPES},
    "E-mail first": {name: 4.0 if name in (EMAIL_OPEN, EMAIL_CLICK) else 1.0 for name in EVENT_TYPES},
    "Website first": {name: 4.0 if name in (PAGE_VIEW, FORM_SUBMIT) else 1.0 for name in EVENT_TYPES},
}


class NumbersForm(forms.Form):
    """The numbers of a set and the threshold, as the studio's sliders send them."""

    monetary_norm = forms.FloatField()
    threshold = forms.FloatField(
        min_value=0.0, max_value=1.0, required=False,
        error_messages=dict.fromkeys(("min_value", "max_value", "invalid"), "A threshold is a score from 0 to 1."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in EVENT_TYPES:
            self.fields[f"weight_{name}"] = forms.FloatField(
                min_value=0.0,
                error_messages={"min_value": "A weight is at least 0.", "invalid": "Enter a number, such as 0.25."},
            )
            self.fields[f"norm_{name}"] = forms.FloatField(error_messages={"invalid": "Enter a number, such as 20."})

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in [name for name in cleaned if "norm" in name and not cleaned[name] > 0]:
            self.add_error(name, "A norm is greater than 0.")
        weights = [cleaned.get(f"weight_{name}") for name in EVENT_TYPES]
        if not self.errors and not any(weights):
            self.add_error(None, "All weights are zero, so every customer would score 0: give one a weight above 0.")
        return cleaned

    def numbers(self) -> Weights:
        """Return the numbers of a valid form."""
        return Weights(
            weight={name: self.cleaned_data[f"weight_{name}"] for name in EVENT_TYPES},
            norm={name: self.cleaned_data[f"norm_{name}"] for name in EVENT_TYPES},
            monetary_norm=self.cleaned_data["monetary_norm"],
        )


class SaveForm(NumbersForm):
    name = forms.CharField(max_length=128, widget=UnfoldAdminTextInputWidget())
    reason = forms.CharField(
        label="Why?",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="What should get better with these weights? It is kept with the set.",
        error_messages={"required": SAY_WHY.format(kept_with="set")},
    )


def studio_page(request: HttpRequest, *, pk: int, context: dict[str, Any]) -> HttpResponse:
    """Show the sliders at the set's numbers on GET; save them in the draft, or in a new one, on POST."""
    weight_set = get_object_or_404(WeightSet.objects.select_related("version").prefetch_related("weights"), pk=pk)
    if not may(request, "features.view_weightset"):
        raise PermissionDenied
    is_new = weight_set.activated_at is not None or "copy" in request.POST
    form = SaveForm(request.POST or None, initial=initial_of(weight_set))
    if request.method == "POST" and form.is_valid():
        answer = save_numbers(form, request=request, weight_set=weight_set, is_new=is_new)
        if answer is not None:
            return answer
    version = weight_set_steps.version_of_copies(weight_set)
    active = active_set(version.number)
    is_retired = weight_set.version.state == VersionState.RETIRED
    numbers = as_weights(active)
    values = {
        "title": f"Studio: {weight_set.name}",
        "weight_set": weight_set,
        "active": active,
        "rows": slider_rows(form, active=numbers),
        "form": form,
        "may_save": not is_retired and may(request, permission_to_save(is_new=weight_set.activated_at is not None)),
        "may_copy": not is_retired and may(request, "features.add_weightset"),
        "is_retired": is_retired,
        "version_of_copies": version,
        "presets": {"Active weights": presets(numbers), "This set as saved": presets(as_weights(weight_set))}
        | {name: presets(scaled(shares, active=numbers)) for name, shares in PRESETS.items()},
        "largest_monetary_norm": 4 * numbers.monetary_norm,
    }
    return TemplateResponse(request, "features/weights/studio.html", {**context, **values})


def permission_to_save(*, is_new: bool) -> str:
    """Return the permission that saving the numbers takes, in a new set or in the open one."""
    return "features.add_weightset" if is_new else "features.change_weightset"


def initial_of(weight_set: WeightSet) -> dict[str, Any]:
    """Return the fields' initial values. A copy of an activated set needs a name and a reason of its own."""
    numbers = {**presets(as_weights(weight_set)), "threshold": DEFAULT_THRESHOLD}
    return numbers if weight_set.activated_at else {**numbers, "name": weight_set.name, "reason": weight_set.reason}


def presets(weights: Weights) -> dict[str, float]:
    """Return the numbers by field name."""
    return {
        **{f"weight_{name}": value for name, value in weights.weight.items()},
        **{f"norm_{name}": value for name, value in weights.norm.items()},
        "monetary_norm": weights.monetary_norm,
    }


def scaled(shares: dict[str, float], *, active: Weights) -> Weights:
    """Return weights in these proportions with the active set's sum, so that the scores keep their magnitude."""
    unit = math.fsum(active.weight.values()) / math.fsum(shares.values())
    return Weights(
        weight={name: round(unit * share, 3) for name, share in shares.items()},
        norm=active.norm,
        monetary_norm=active.monetary_norm,
    )


def slider_rows(form: SaveForm, *, active: Weights) -> list[dict[str, Any]]:
    """Return for each event type its two fields, their active values and the sliders' upper ends."""
    return [
        {
            "event_type": name,
            "weight": form[f"weight_{name}"],
            "norm": form[f"norm_{name}"],
            "active_weight": active.weight[name],
            "active_norm": active.norm[name],
            "largest_weight": max(LARGEST_WEIGHT, active.weight[name]),
            "largest_norm": 4 * active.norm[name],
        }
        for name in EVENT_TYPES
    ]


def save_numbers(form: SaveForm, *, request: HttpRequest, weight_set: WeightSet, is_new: bool) -> HttpResponse | None:
    """Save the numbers and redirect to the set that has them. Return None, with the error in the form, on refusal."""
    if not may(request, permission_to_save(is_new=is_new)):
        raise PermissionDenied
    by, name, reason = person(request), form.cleaned_data["name"], form.cleaned_data["reason"]
    try:
        if is_new:
            kept = weight_set_steps.draft_copy(weight_set.pk, name=name, reason=reason, numbers=form.numbers(), by=by)
        else:
            kept = weight_set_steps.set_numbers(weight_set.pk, numbers=form.numbers(), name=name, by=by, reason=reason)
    except FeatureHubError as error:
        form.add_error(None, error.detail)
        return None
    messages.success(request, f"{kept} is saved as a draft for {kept.version}. It is not used for any score yet.")
    # `saved` tells the browser to drop the unsaved numbers that it stored for the set that was open.
    return HttpResponseRedirect(f"{reverse('admin:features_weightset_studio', args=[kept.pk])}?saved={weight_set.pk}")


def studio_preview(request: HttpRequest, *, pk: int) -> HttpResponse:
    """Return the preview of the sliders' numbers; status 400 and the errors by field for a number that is invalid."""
    if not may(request, "features.view_weightset"):
        raise PermissionDenied
    weight_set = get_object_or_404(WeightSet.objects.select_related("version"), pk=pk)
    form = NumbersForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors.get_json_data()}, status=400)
    threshold = form.cleaned_data["threshold"]
    figures = preview_scores(
        sample.current_sample(opened="opened" in request.POST),
        active=as_weights(active_set(weight_set_steps.version_of_copies(weight_set).number)),
        tried=form.numbers(),
        threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
    )
    context = preview_context(figures, before="active", after="tried")
    return TemplateResponse(request, "features/weights/studio_preview.html", context)


def preview_context(figures: ScorePreview | None, *, before: str, after: str) -> dict[str, Any]:
    """Return the preview's template context; `before` and `after` are the names of the two sides."""
    if figures is None:
        return {"preview": None}
    names = {"before": before.capitalize(), "after": after.capitalize()}
    return {
        "preview": figures,
        "before_name": before,
        "after_name": after,
        "histogram": score_histogram(figures, **names),
        "quantiles": list(zip(QUANTILES, figures.before.quantiles, figures.after.quantiles, strict=True)),
        "segmentations": [
            segments_chart(figures.by_recency, title="By last purchase", **names),
            segments_chart(figures.by_category, title="By category of most events", **names),
        ],
        "movers": movers_chart(figures.movers, **names),
    }
