"""The studio: sliders for the numbers on one side, a preview of the scores on the other."""

import math
from collections.abc import Mapping, Sequence
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
from features.registry.weight_sets import active_set, as_weights, weighed_types
from features.tuning import sample
from features.tuning.score_preview import QUANTILES, ScorePreview, preview_scores

DEFAULT_THRESHOLD = 0.5
LARGEST_WEIGHT = 1.0
# The event types with another weight than 1 relative to the others; a preset keeps the active set's sum and norms.
PRESETS: Mapping[str, Mapping[str, float]] = {
    "Equal weights": {},
    "Purchases first": {PURCHASE: 5.0},
    "E-mail first": {EMAIL_OPEN: 4.0, EMAIL_CLICK: 4.0},
    "Website first": {PAGE_VIEW: 4.0, FORM_SUBMIT: 4.0},
}


class NumbersForm(forms.Form):
    """The numbers of a set and the threshold, as the studio's sliders send them.

    `types` are the event types that there are numbers for. A page that was loaded before a type was registered sends
    none for it: it then has those of a type that a set says nothing of.
    """

    monetary_norm = forms.FloatField()
    threshold = forms.FloatField(
        min_value=0.0, max_value=1.0, required=False,
        error_messages=dict.fromkeys(("min_value", "max_value", "invalid"), "A threshold is a score from 0 to 1."),
    )  # fmt: skip

    def __init__(self, *args: Any, types: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.types = types
        for name in types:
            self.fields[f"weight_{name}"] = forms.FloatField(
                min_value=0.0, required=name in EVENT_TYPES,
                error_messages={"min_value": "A weight is at least 0.", "invalid": "Enter a number, such as 0.25."},
            )  # fmt: skip
            self.fields[f"norm_{name}"] = forms.FloatField(
                required=name in EVENT_TYPES, error_messages={"invalid": "Enter a number, such as 20."}
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in ("monetary_norm", *(f"norm_{name}" for name in self.types)):
            if cleaned.get(name) is not None and not cleaned[name] > 0:
                self.add_error(name, "A norm is greater than 0.")
        weights = [cleaned.get(f"weight_{name}") for name in self.types]
        if not self.errors and not any(weights):
            self.add_error(None, "All weights are zero, so every customer would score 0: give one a weight above 0.")
        return cleaned

    def numbers(self) -> Weights:
        """Return the numbers of a valid form."""
        weights = {name: self.cleaned_data[f"weight_{name}"] for name in self.types}
        norms = {name: self.cleaned_data[f"norm_{name}"] for name in self.types}
        return Weights(
            weight={name: value for name, value in weights.items() if value is not None},
            norm={name: value for name, value in norms.items() if value is not None},
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
    version = weight_set_steps.version_of_copies(weight_set)
    active = active_set(version.number)
    numbers, own = as_weights(active), as_weights(weight_set)
    types = weighed_types(numbers, own)
    form = SaveForm(request.POST or None, initial=initial_of(weight_set, types=types), types=types)
    if request.method == "POST" and form.is_valid():
        answer = save_numbers(form, request=request, weight_set=weight_set, is_new=is_new)
        if answer is not None:
            return answer
    is_retired = weight_set.version.state == VersionState.RETIRED
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
        "presets": {"Active weights": presets(numbers, types=types), "This set as saved": presets(own, types=types)}
        | {name: presets(in_proportion(name, active=numbers, types=types), types=types) for name in PRESETS},
        "largest_monetary_norm": 4 * numbers.monetary_norm,
    }
    return TemplateResponse(request, "features/weights/studio.html", {**context, **values})


def permission_to_save(*, is_new: bool) -> str:
    """Return the permission that saving the numbers takes, in a new set or in the open one."""
    return "features.add_weightset" if is_new else "features.change_weightset"


def initial_of(weight_set: WeightSet, *, types: Sequence[str]) -> dict[str, Any]:
    """Return the fields' initial values. A copy of an activated set needs a name and a reason of its own."""
    numbers = {**presets(as_weights(weight_set), types=types), "threshold": DEFAULT_THRESHOLD}
    return numbers if weight_set.activated_at else {**numbers, "name": weight_set.name, "reason": weight_set.reason}


def presets(weights: Weights, *, types: Sequence[str]) -> dict[str, float]:
    """Return the numbers by field name."""
    return {
        **{f"weight_{name}": weights.weight_of(name) for name in types},
        **{f"norm_{name}": weights.norm_of(name) for name in types},
        "monetary_norm": weights.monetary_norm,
    }


def in_proportion(preset: str, *, active: Weights, types: Sequence[str]) -> Weights:
    """Return weights in a preset's proportions with the active set's sum, so that the scores keep their magnitude."""
    shares = {name: PRESETS[preset].get(name, 1.0) for name in types}
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
            "active_weight": active.weight_of(name),
            "active_norm": active.norm_of(name),
            "largest_weight": max(LARGEST_WEIGHT, active.weight_of(name)),
            "largest_norm": 4 * active.norm_of(name),
        }
        for name in form.types
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
    weight_set = get_object_or_404(WeightSet.objects.select_related("version").prefetch_related("weights"), pk=pk)
    active = as_weights(active_set(weight_set_steps.version_of_copies(weight_set).number))
    form = NumbersForm(request.POST, types=weighed_types(active, as_weights(weight_set)))
    if not form.is_valid():
        return JsonResponse({"errors": form.errors.get_json_data()}, status=400)
    threshold = form.cleaned_data["threshold"]
    figures = preview_scores(
        sample.current_sample(opened="opened" in request.POST),
        active=active,
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
