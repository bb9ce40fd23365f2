"""The comparison of two versions."""

import pytest

from features.lifecycle import weight_set_steps as weights_lifecycle
from features.materialization.client_values import set_customer_features
from features.registry.snapshot import registry_snapshot
from features.tuning.version_comparison import Compared, Comparison, compare_versions
from tests.factories import make_customer, make_purchase, make_version, make_weight_set

pytestmark = pytest.mark.django_db


def compared(left: str, right: str) -> Comparison:
    known = registry_snapshot.get(younger_than=0)
    figures = compare_versions(known.view(*left.split(":")), known.view(*right.split(":")))
    assert figures is not None
    return figures


def row_of(figures: Comparison, name: str) -> Compared:
    return next(row for row in figures.compared if row.name == name)


def score_logins_higher() -> None:
    """Make 2.0, with other weights than 1.0."""
    version = make_version("behavioral", state="shadow", spend={"kind": "sum", "metadata_key": "amount"})
    made = make_weight_set(version=version, weights={"login": (1.0, 10.0), "purchase": (0.0, 10.0)})
    weights_lifecycle.activate(made.pk, by=None, reason="Logins")


def test_what_differs_comes_first_with_who_differs_most() -> None:
    score_logins_higher()
    for number in range(1, 6):
        make_customer(f"c{number}", login=number, events=[make_purchase(amount=number)])
    figures = compared("behavioral:1.0", "behavioral:2.0")
    score = figures.compared[0]
    assert (figures.customers, score.name, score.differ, score.both) == (5, "engagement_score", 1.0, 5)
    assert [mover.customer_id for mover in score.movers] == ["c5", "c4", "c3", "c2", "c1"]
    assert score.movers[0].right == pytest.approx(0.5)
    assert score.movers[0].left == pytest.approx(0.1 * 5 / 30 + 0.3 / 10)
    assert (score.pearson, score.spearman) == (pytest.approx(1.0), pytest.approx(1.0))
    assert score.right.mean == pytest.approx(0.3)
    assert score.right.median == pytest.approx(0.3)
    assert [sum(bar.customers for bar in side) for side in zip(*score.histogram, strict=True)] == [5, 5]


def test_what_is_the_same_is_said_to_be() -> None:
    score_logins_higher()
    make_customer("a", login=1)
    make_customer("b", login=2)
    row = row_of(compared("behavioral:1.0", "behavioral:2.0"), "login_frequency")
    assert (row.differ, list(row.movers), row.pearson) == (0.0, [], pytest.approx(1.0))
    assert row_of(compared("behavioral:1.0", "behavioral:2.0"), "purchases_30d").pearson is None


def test_what_one_of_them_has_stands_alone() -> None:
    score_logins_higher()
    make_customer("a", events=[make_purchase(amount=7.0)])
    for pair in (("behavioral:1.0", "behavioral:2.0"), ("behavioral:2.0", "behavioral:1.0")):
        (alone,) = compared(*pair).alone
        assert (alone.name, alone.version, alone.side.mean) == ("spend", "2.0", 7.0)
        assert [bar.customers for bar in alone.histogram] == [1]


def test_who_has_a_value_in_one_version_only_is_in_no_correlation() -> None:
    make_version("customer", state="shadow")
    for name in ("a", "b", "c"):
        make_customer(name, login=1)
    write = {"feature_type": "customer"}
    set_customer_features("a", version="1.0", features={"tenure_days": 1.0}, **write)
    set_customer_features("b", version="1.0", features={"tenure_days": 2.0}, **write)
    set_customer_features("b", version="2.0", features={"tenure_days": 5.0}, **write)
    row = row_of(compared("customer:1.0", "customer:2.0"), "tenure_days")
    assert (row.both, row.left_only, row.right_only, row.differ) == (1, 1, 0, 1.0)
    assert (row.left.mean, row.right.mean) == (2.0, 5.0)
    assert (row.pearson, row.spearman) == (None, None)
    never = row_of(compared("customer:1.0", "customer:2.0"), "loyalty_tier")
    assert (never.both, never.differ, never.left.mean, list(never.histogram)) == (0, None, None, [])


def test_derived_versions_are_compared_on_their_own_inputs() -> None:
    make_customer("a", events=[make_purchase(amount=500.0)])
    make_version("derived", state="shadow", mood={"expression": "rfm_score * 2"})
    figures = compared("derived:1.0", "derived:2.0")
    assert row_of(figures, "rfm_score").differ == 0.0
    assert figures.alone[0].side.mean == pytest.approx(2 * (row_of(figures, "rfm_score").left.mean or 0.0))


def test_there_is_nothing_to_compare_without_customers() -> None:
    make_version("behavioral", state="shadow")
    known = registry_snapshot.get(younger_than=0)
    assert compare_versions(known.view("behavioral", "1.0"), known.view("behavioral", "2.0")) is None
