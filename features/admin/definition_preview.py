"""The part of a definition's page that shows what it would be for a sample of customers."""

from typing import Any

from featurehub.lib.errors import InvalidError
from features.admin.definition_forms import DefinitionForm
from features.admin.histograms import Histogram, histogram_of
from features.models import FeatureDefinition, FeatureType
from features.versions.preview import Preview, preview
from features.versions.wording import in_words


def preview_part(form: DefinitionForm) -> dict[str, Any]:
    """What the template takes: `problems` where there is nothing to compute, else the figures; None: no customers."""
    if not form.is_valid():
        return {
            "problems": [
                (form.fields[name].label or name, errors) if name in form.fields else (name, errors)
                for name, errors in form.errors.items()
            ]
        }
    definition: FeatureDefinition = form.instance
    if not (definition.kind or definition.expression):
        return {"problems": [], "is_written": True}
    surroundings = next(iter(form.surroundings(form.cleaned_data)), None)
    try:
        if definition.feature_type == FeatureType.DERIVED and surroundings is not None:
            figures = preview(definition, others=surroundings.others, inputs=surroundings.inputs)
        else:
            figures = preview(definition)
    except InvalidError as error:
        return {"problems": [("", [error.detail])]}
    return {
        "figures": figures,
        "in_words": in_words(definition),
        "definition": definition,
        "histogram": picture(figures),
    }


def picture(figures: Preview | None) -> Histogram | None:
    return histogram_of(figures.histogram) if figures is not None and figures.histogram else None
