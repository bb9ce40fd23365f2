"""Preview of a feature for a sample of customers, before it is saved. Stores nothing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from django.conf import settings

from features.engines import postgres
from features.formulas.values import Columns
from features.lifecycle.requirements import check_expressions
from features.models import FeatureDefinition, FeatureType, FeatureVersion
from features.monitoring.coverage import sample_customers
from features.online.publish import as_derived, values_of_views
from features.registry.snapshot import as_view, as_windowed, registry_snapshot
from features.tuning.histograms import HistogramBar, histograms

CUSTOMERS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionPreview:
    """Figures of a feature over `customers` sampled customers; `shown` are some that have a value, with it.

    `seconds` is the time that the preview took. `smallest`, `median` and `largest` are None where nobody has a value;
    `above_zero` is a share of `customers`, 0 to 1. The histogram leaves zeros out.
    """

    as_of: datetime
    seconds: float
    customers: int
    with_value: int
    zeros: int
    above_zero: float
    smallest: float | None
    median: float | None
    largest: float | None
    histogram: Sequence[HistogramBar]
    shown: Sequence[tuple[str, float]]


def preview_definition(
    definition: FeatureDefinition, *, others: Sequence[FeatureDefinition] = (), inputs: Mapping[str, str] | None = None
) -> DefinitionPreview | None:
    """Return the figures of a windowed or derived definition, saved or not; None where no customer is known.

    An expression may use the `others` of its version, and the names of its `inputs`: feature type → version number.
    Raises InvalidError for one that can't be computed.
    """
    started, as_of, customer_ids = time.perf_counter(), datetime.now(UTC), sample_customers()
    if not customer_ids:
        return None
    if definition.kind:
        columns = windowed_values(definition, customer_ids=customer_ids, as_of=as_of)
    else:
        columns = expression_values(definition, customer_ids=customer_ids, others=others, inputs=inputs or {})
    return summarise_column(columns, name=definition.name, as_of=as_of, seconds=time.perf_counter() - started)


def windowed_values(definition: FeatureDefinition, *, customer_ids: Sequence[str], as_of: datetime) -> Columns:
    """Return the values of a windowed feature, from the customers' events."""
    feature = as_windowed(definition)
    activity = postgres.aggregate(customer_ids, as_of=as_of, window_days=settings.WINDOW_DAYS, features=[feature])
    return Columns(activity.customer_ids, {feature.name: activity.windowed[feature.name].value})


def expression_values(
    definition: FeatureDefinition,
    *,
    customer_ids: Sequence[str],
    others: Sequence[FeatureDefinition],
    inputs: Mapping[str, str],
) -> Columns:
    """Return the values of an expression, from the customers' current values."""
    together = [*others, definition]
    check_expressions(together, inputs=inputs, known=registry_snapshot.get(younger_than=0))
    version = FeatureVersion(feature_type=FeatureType.DERIVED, number="preview", inputs=dict(inputs))
    view = as_view(version, definitions=together)
    used = {
        row: held for row, held in values_of_views(customer_ids).items() if inputs.get(row.feature_type) == row.number
    }
    columns = as_derived(view, inputs=used).columns.of(customer_ids)
    return Columns(customer_ids, {definition.name: columns.by_name[definition.name]})


def summarise_column(columns: Columns, *, name: str, as_of: datetime, seconds: float) -> DefinitionPreview:
    """Return the figures of a column of values."""
    values = columns.by_name[name]
    known = values[~np.isnan(values)]
    return DefinitionPreview(
        as_of=as_of,
        seconds=seconds,
        customers=len(values),
        with_value=len(known),
        zeros=int(np.count_nonzero(known == 0)),
        above_zero=float(np.count_nonzero(known > 0)) / len(values),
        smallest=float(known.min()) if len(known) else None,
        median=float(np.median(known)) if len(known) else None,
        largest=float(known.max()) if len(known) else None,
        histogram=histograms(known[known != 0])[0],
        shown=some_customers(columns, name=name),
    )


def some_customers(columns: Columns, *, name: str) -> list[tuple[str, float]]:
    """Return the first CUSTOMERS_SHOWN customers that have a value, with it; values other than 0 come first."""
    pairs = zip(columns.customer_ids, columns.by_name[name].tolist(), strict=True)
    having = [(customer_id, value) for customer_id, value in pairs if value == value]
    return sorted(having, key=lambda pair: pair[1] == 0)[:CUSTOMERS_SHOWN]
