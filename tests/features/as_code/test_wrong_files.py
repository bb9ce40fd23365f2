"""Wrong definitions files: each problem is said with its line and what to do, and nothing is changed."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from events.models import EventType
from featurehub.files.yaml_files import yaml_text
from features.as_code.changes import PlannedChange
from features.as_code.parsing import FileProblem, WrongFileError
from tests.features.as_code.files import TRIALS, apply, plan


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("events: {}", "line 1: There is no key events: did you mean event_types?"),
        ("featurehub: 2", "line 1: featurehub: The format is 1 so far: write 1."),
        ("- a", "line 1: The file: It must have keys."),
        ("sets: 5", "line 1: sets: It must have keys."),
        ("definitions:\n  a: 5", "line 2: definitions, a: It must have keys."),
        ("definitions:\n  a:\n    type: customer\n    descripton: x",
         "line 4: definitions, a: There is no key descripton: did you mean description?"),
        ("definitions:\n  a:\n    description: x", "line 2: definitions, a: The key type is required: add it."),
        ("definitions:\n  a:\n    type: custom", "line 3: definitions, a, type: It must be"),
        ("definitions:\n  a: {type: customer}\n  b: {type: customer}\n  a: {type: customer}",
         "line 4: a is there twice, first in line 2."),
        ("definitions:\n  a:\n    type: customer\n    type: contextual",
         "line 4: type is there twice, first in line 3."),
        ("definitions:\n  a:\n    type: customer\n    default: high",
         "line 4: definitions, a, default: It must be a number, not a string."),
        ("definitions:\n  Big: {type: customer}", "line 2: definitions: The key Big must be a name such as trials_6h"),
        ("definitions:\n  clamp: {type: customer}", "line 2: definitions, clamp, name: clamp is a word of expressions"),
        ("definitions:\n  a:\n    type: behavioral\n    kind: count\n    window: 0h",
         "line 5: definitions, a, window: A window is a whole number of hours or days, from 1h to 90d"),
        ("definitions:\n  a:\n    type: behavioral\n    kind: count\n    window: 91d",
         "line 5: definitions, a, window: A window is a whole number of hours or days, from 1h to 90d"),
        ("definitions:\n  a:\n    type: behavioral\n    kind: count\n    window: 6",
         "line 5: definitions, a, window: It must be"),
        ("definitions:\n  a:\n    type: behavioral\n    kind: count",
         "line 2: definitions, a, window: Say how far back events count."),
        ("definitions:\n  a:\n    type: behavioral\n    window: 6h",
         "line 2: definitions, a, kind: Choose what is computed of the events."),
        ("definitions:\n  a:\n    type: behavioral\n    kind: sum\n    window: 6h",
         "line 2: definitions, a, metadata_key: Say which metadata key, such as amount."),
        ("definitions:\n  a:\n    type: behavioral\n    kind: count\n    window: 6h\n    event_type: purchas",
         "line 6: definitions, a, event_type: There is no event type purchas, here or in the file. "
         "Did you mean purchase?"),
        ("definitions:\n  a:\n    type: customer\n    window: 6h",
         "line 4: definitions, a, window: A customer feature"),
        ("definitions:\n  a:\n    type: customer\n    minimum: 2\n    maximum: 1",
         "line 5: definitions, a, maximum: The maximum is at least the minimum."),
        ("definitions:\n  a:\n    type: derived\n    expression: 1 +", "line 4: definitions, a, expression: Invalid"),
        ("definitions:\n  a: {type: derived}", "line 2: definitions, a, expression: Say how it is computed"),
        ("versions:\n  behavioural:2.0: {}",
         "line 2: versions: The key behavioural:2.0 must be a type and a number such as behavioral:2.0"),
        ("versions:\n  behavioral:2.0:\n    features:\n      - engagement_score\n      - engagment_score",
         "line 5: versions, behavioral:2.0, features, number 2: There is no feature engagment_score, here or "
         "in the file. Did you mean engagement_score?"),
        ("versions:\n  behavioral:2.0:\n    features: [cart_value]",
         "line 3: versions, behavioral:2.0, features, number 1: cart_value is a contextual feature"),
        ("versions:\n  behavioral:2.0:\n    inputs: [customer:1.0]",
         "line 3: versions, behavioral:2.0, inputs: Only derived versions are computed from others"),
        ("versions:\n  derived:2.0:\n    features: [rfm_score]\n    inputs: [customer:1.0]",
         "line 3: versions, derived:2.0, features: rfm_score uses frequency_score, which is not a feature."),
        ("versions:\n  derived:2.0:\n    inputs:\n      - behavioral:9.0",
         "line 4: versions, derived:2.0, inputs, number 1"),
        ("sets:\n  churn_model:\n    features: [recency_score]\n    versions: [behavioral:1.0]",
         "line 2: sets: The key churn_model must be a name and a number such as churn_model:3"),
        ("sets:\n  m:1:\n    features: [recency_scor]\n    versions: [behavioral:1.0]",
         "line 3: sets, m:1, features, number 1: There is no feature recency_scor, here or in the file. Did you mean "
         "recency_score?"),
        ("sets:\n  m:1:\n    features: [recency_score]\n    versions: [behavioral:7.0]",
         "line 4: sets, m:1, versions, number 1: There is no version behavioral:7.0, here or in the file."),
        ("sets:\n  m:1:\n    features: []\n    versions: [behavioral:1.0]", "line 3: sets, m:1, features: It must be"),
        ("weights:\n  behavioral:1.0:\n    name: x\n    event_types:\n      login: {weight: 1, norm: 1}\n"
         "      logn: {weight: 1, norm: 1}",
         "line 6: weights, behavioral:1.0, event_types, logn: There is no event type logn, here or in the file. "
         "Did you mean login?"),
        ("weights:\n  behavioral:1.0:\n    name: x\n    event_types:\n      login: {weight: -1, norm: 1}",
         "line 5: weights, behavioral:1.0, event_types, login, weight: It must be a number of at least 0."),
        ("weights:\n  behavioral:1.0:\n    name: x\n    event_types:\n      login: {weigth: 1, norm: 1}",
         "line 5: weights, behavioral:1.0, event_types, login: There is no key weigth: did you mean weight?"),
        ("weights:\n  behavioral:1.0:\n    name: x\n    event_types:\n      login: {weight: 0, norm: 1}",
         "line 4: weights, behavioral:1.0, event_types: All weights are zero"),
        ("weights:\n  customer:1.0:\n    name: x\n    event_types: {login: {weight: 1, norm: 1}}",
         "line 2: weights, customer:1.0: Only behavioral versions have weights"),
    ],
)  # fmt: skip
def test_the_problem_is_said_with_its_line(db: None, text: str, problem: str) -> None:
    # The last line is right, and is not applied.
    file = f"{text}\nevent_types: {{trial_started: {{}}}}\n" if not text.startswith("-") else text
    for take in (plan, apply):
        with pytest.raises(WrongFileError) as refused:
            take(file)
        assert problem in refused.value.detail
    assert not EventType.objects.filter(name="trial_started").exists()


def test_all_problems_are_said_at_once_in_the_order_of_the_file(db: None) -> None:
    text = "definitions:\n  a: {typo: 1}\n  b: {type: customer, ownr: x}\nversion: {}\nsets:\n  m: {}\n"
    with pytest.raises(WrongFileError) as refused:
        plan(text)
    assert [problem.line for problem in refused.value.problems] == [2, 3, 4, 6]
    text = "definitions:\n  a: {type: derived}\nsets:\n  m:1:\n    features: [b, c]\n    versions: [behavioral:1.0]\n"
    with pytest.raises(WrongFileError) as refused:
        plan(text)
    assert [problem.line for problem in refused.value.problems] == [2, 5, 5]


# Values of every kind, and some that are at the edge of what can be stored.
NASTY = [
    None, True, 0, -1, 7, 0.5, 1e300, 10**14, "", " ", "x", "a\nb", "é", "x" * 70, "-", "engagement_score",
    "customer:1.0", "behavioral:2.0", "derived:1.0", "behavioral:1.0.0.0.0.0.0.0.0.0", "trial_started", "91d", "1 +",
    [], {}, [None], ["trials_6h", "trials_6h"], ["behavioral:1.0", "behavioral:2.0"], {"x": 1},
    {"trial_started": {"weight": 1, "norm": 0}},
]  # fmt: skip


def places_of(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the steps to each part of a value."""
    yield place
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in members:
        yield from places_of(part, (*place, step))


def replaced(value: Any, place: tuple[Any, ...], part: Any) -> Any:
    """Return the value with another part, or a member of another key, at the end of the steps."""
    if not place:
        return part
    first, *rest = place
    changed = value.copy()
    changed[first] = replaced(value[first], tuple(rest), part)
    return changed


@given(st.sampled_from(sorted(places_of(yaml.safe_load(TRIALS)), key=str)), st.sampled_from(NASTY))
def test_a_file_with_any_value_in_any_place_is_planned_or_refused_in_words(
    db: None, place: tuple[Any, ...], part: Any
) -> None:
    text = yaml_text(replaced(yaml.safe_load(TRIALS), place, part))
    changes, problems = planned(text)
    assert all(change.note for change in changes if change.outcome == "refused")
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in problems)
    assert not any("`" in problem.sentence for problem in problems)


def planned(text: str) -> tuple[list[PlannedChange], list[FileProblem]]:
    """Return the changes of a file, or its problems."""
    try:
        return plan(text), []
    except WrongFileError as refused:
        return [], refused.problems
