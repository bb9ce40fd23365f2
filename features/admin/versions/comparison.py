"""Two versions of one type side by side."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget

from featurehub.admin.permissions import may
from features.admin.histogram_chart import histogram_of, overlaid
from features.lifecycle.drafts import version_key
from features.models import FeatureType, FeatureVersion
from features.models.versions import READABLE_STATES
from features.registry.snapshot import registry_snapshot
from features.tuning.version_comparison import Alone, Compared, Comparison, compare_versions


class VersionComparisonForm(forms.Form):
    """The choice of two versions that can be read; at first the live one and the newest other."""

    left = forms.ChoiceField(label="This version", widget=UnfoldAdminSelectWidget())
    right = forms.ChoiceField(label="And this one", widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, numbers: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("left", "right"):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = list(numbers.items())


def version_comparison_page(request: HttpRequest, *, feature_type: str, context: dict[str, Any]) -> HttpResponse:
    """Show two versions of the type, chosen by ?left=1.0&right=2.0."""
    if not may(request, "features.view_featureversion"):
        raise PermissionDenied
    rows = FeatureVersion.objects.filter(feature_type=feature_type, state__in=READABLE_STATES)
    newest = sorted(rows, key=lambda row: version_key(row.number), reverse=True)
    ordered = sorted(newest, key=lambda row: row.state != FeatureVersion.State.LIVE)
    numbers = {row.number: f"{row}, {row.get_state_display().lower()}" for row in ordered}
    first_choice = dict(zip(("left", "right"), numbers, strict=False))
    form = VersionComparisonForm(first_choice | request.GET.dict(), numbers=numbers)
    values: dict[str, Any] = {
        "title": f"Compare {FeatureType(feature_type).label.lower()} versions",
        "form": form,
        "feature_type": FeatureType(feature_type),
        "is_alone": len(numbers) < 2,
    }
    if not values["is_alone"] and form.is_valid():
        values |= version_figures(feature_type, **form.cleaned_data)
    return TemplateResponse(request, "features/versions/comparison.html", {**context, **values})


def version_figures(feature_type: str, *, left: str, right: str) -> dict[str, Any]:
    """Return the figures of the comparison and their pictures."""
    known = registry_snapshot.get(younger_than=0)
    figures = compare_versions(known.view(feature_type, left), known.view(feature_type, right))
    values: dict[str, Any] = {"left": f"{feature_type}:{left}", "right": f"{feature_type}:{right}", "figures": figures}
    return values | (pictures(figures, before=left, after=right) if figures is not None else {})


def pictures(figures: Comparison, *, before: str, after: str) -> dict[str, Any]:
    def of_both(row: Compared) -> dict[str, Any]:
        if not row.histogram:
            return {"row": row, "histogram": None}
        return {"row": row, "histogram": overlaid(row.histogram, title=row.name, before=before, after=after)}

    def of_one(row: Alone) -> dict[str, Any]:
        return {"row": row, "histogram": histogram_of(row.histogram, title=row.name) if row.histogram else None}

    return {
        "compared": [spreads(row) for row in figures.compared],
        "differing": [of_both(row) for row in figures.compared if row.differ],
        "lacking": (
            max((row.left_only for row in figures.compared), default=0),
            max((row.right_only for row in figures.compared), default=0),
        ),
        "alone": [of_one(row) for row in figures.alone],
    }


def spreads(row: Compared) -> dict[str, Any]:
    """Return a compared feature with the counts of its histogram in each version, for sparklines."""
    return {
        "row": row,
        "left": [bar.customers for bar, _ in row.histogram],
        "right": [bar.customers for _, bar in row.histogram],
    }
