"""The preview of a feature before it is saved."""

import pytest

from featurehub.lib.errors import InvalidError
from features.materialization.client_values import set_customer_features
from features.models import FeatureDefinition
from features.tuning.definition_preview import CUSTOMERS_SHOWN, DefinitionPreview, preview_definition
from tests.factories import ago, make_customer, make_purchase

pytestmark = pytest.mark.django_db
INPUTS = {"behavioral": "1.0", "customer": "1.0"}


def spend(**fields: object) -> FeatureDefinition:
    values = {"kind": "sum", "metadata_key": "amount", "window_hours": 7 * 24, **fields}
    return FeatureDefinition(name="spend", feature_type="behavioral", **values)


def derived(expression: str, name: str = "mood") -> FeatureDefinition:
    return FeatureDefinition(name=name, feature_type="derived", expression=expression)


def figures_of(definition: FeatureDefinition, **kwargs: object) -> DefinitionPreview:
    figures = preview_definition(definition, **kwargs)  # type: ignore[arg-type]
    assert figures is not None
    return figures


def test_a_windows_figures_are_those_of_the_customers_events() -> None:
    make_customer("a", events=[make_purchase(amount=10.0), make_purchase(amount=5.0, timestamp=ago(days=8))])
    make_customer("b", events=[make_purchase(amount=30.0)])
    make_customer("c", login=1)
    figures = figures_of(spend())
    assert (figures.customers, figures.with_value, figures.zeros) == (3, 3, 1)
    assert (figures.smallest, figures.median, figures.largest) == (0.0, 10.0, 30.0)
    assert figures.above_zero == pytest.approx(2 / 3)
    assert sum(bar.customers for bar in figures.histogram) == 2
    assert sorted(figures.shown) == [("a", 10.0), ("b", 30.0), ("c", 0.0)]
    assert figures.shown[-1] == ("c", 0.0)
    assert figures.seconds > 0
    assert not FeatureDefinition.objects.filter(name="spend").exists()


def test_of_many_customers_some_are_shown() -> None:
    for number in range(CUSTOMERS_SHOWN + 3):
        make_customer(f"c{number:02}", events=[make_purchase(amount=number)])
    figures = figures_of(spend())
    assert len(figures.shown) == CUSTOMERS_SHOWN
    assert "c00" not in dict(figures.shown)


def test_an_expression_is_computed_from_current_values_of_its_inputs() -> None:
    make_customer("a", events=[make_purchase(amount=10.0)])
    make_customer("b", login=1)
    set_customer_features("a", feature_type="customer", version="1.0", features={"tenure_days": 2.0})
    figures = figures_of(derived("purchase_amount_30d * tenure_days"), inputs=INPUTS)
    assert (figures.customers, figures.with_value, figures.largest) == (2, 1, 20.0)
    assert figures.shown == [("a", 20.0)]


def test_an_expression_may_use_the_others_of_its_version() -> None:
    make_customer("a", events=[make_purchase(amount=10.0)])
    others = [derived("purchase_amount_30d / 2", name="half")]
    assert figures_of(derived("half + 1"), others=others, inputs=INPUTS).largest == 6.0
    with pytest.raises(InvalidError, match="half, which is not a feature"):
        preview_definition(derived("half + 1"), inputs=INPUTS)


def test_nobody_may_have_a_value() -> None:
    make_customer("a", login=1)
    figures = figures_of(derived("tenure_days"), inputs=INPUTS)
    assert (figures.with_value, figures.smallest, figures.median, figures.largest) == (0, None, None, None)
    assert (figures.above_zero, list(figures.histogram), list(figures.shown)) == (0.0, [], [])


def test_there_is_nothing_to_show_without_customers() -> None:
    assert preview_definition(spend()) is None
