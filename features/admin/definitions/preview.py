"""The preview on a definition's page: its values for a sample of customers."""

from typing import Any

from featurehub.admin.chart import Chart
from featurehub.lib.errors import InvalidError
from features.admin.definitions.forms import DefinitionForm
from features.admin.histogram_chart import histogram_of
from features.models import FeatureDefinition, FeatureType
from features.registry.wording import definition_in_words
from features.tuning.definition_preview import DefinitionPreview, preview_definition


def preview_context_of_form(form: DefinitionForm) -> dict[str, Any]:
    """Return the context of the preview: `problems` of the form, else the figures, None without customers."""
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
            figures = preview_definition(definition, others=surroundings.others, inputs=surroundings.inputs)
        else:
            figures = preview_definition(definition)
    except InvalidError as error:
        return {"problems": [("", [error.detail])]}
    return {
        "figures": figures,
        "in_words": definition_in_words(definition),
        "definition": definition,
        "histogram": picture(figures),
    }


def picture(figures: DefinitionPreview | None) -> Chart | None:
    return (
        histogram_of(figures.histogram, title="How the values are spread")
        if figures is not None and figures.histogram
        else None
    )
