"""A set's life as a stepper."""

import pytest

from features.admin.weights.life import life_stages
from features.lifecycle import weight_set_steps
from features.models import WeightSet
from tests.factories import make_weight_set

pytestmark = pytest.mark.django_db


def stages(weight_set: WeightSet) -> list[tuple[str, str]]:
    weight_set.refresh_from_db()
    return [(stage.label, stage.progress) for stage in life_stages(weight_set, steps=list(weight_set.steps.all()))]


def test_a_draft_has_its_life_before_it() -> None:
    assert stages(make_weight_set()) == [
        ("Draft", "current"), ("Proposed", "coming"), ("Approved", "coming"), ("Active", "coming"),
    ]  # fmt: skip


def test_stages_that_were_skipped_are_left_out() -> None:
    weight_set = make_weight_set()
    weight_set_steps.activate(weight_set.pk, by=None, reason="Go")
    assert stages(weight_set)[-1] == ("Active", "current")
    assert ("Proposed", "coming") not in stages(weight_set)
    weight_set_steps.activate(make_weight_set().pk, by=None, reason="Other")
    assert stages(weight_set)[-2:] == [("Active", "done"), ("Superseded", "current")]
