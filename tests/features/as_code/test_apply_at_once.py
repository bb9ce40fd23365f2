"""Two applies at once: one wins, the other is told; steps of people and applies wait for each other."""

from collections.abc import Callable

from featurehub.lib.errors import ConflictError
from features.as_code.applying import apply_definitions, plan_definitions
from features.lifecycle import drafts
from features.models import FeatureVersion
from tests.at_once import at_once, during
from tests.features.as_code.files import APPLIED, TRIALS


def applied() -> str:
    """Apply the file. Return what came of it."""
    try:
        return f"{len(apply_definitions(TRIALS, applied=APPLIED))} changes"
    except ConflictError as error:
        return error.detail


def kept(results: list[str], function: Callable[[], str]) -> Callable[[], None]:
    return lambda: results.append(function())


def test_the_second_of_two_applies_is_told_and_changes_nothing(committed: None) -> None:
    results: list[str] = []
    during(kept(results, applied), kept(results, applied))
    first, second = results
    assert first == "9 changes"
    assert second.startswith("Another file of definitions is being applied at this moment.")
    assert FeatureVersion.objects.filter(number="2.0").count() == 3
    assert applied() == "0 changes"


def test_of_many_applies_at_once_one_makes_everything(committed: None) -> None:
    results = at_once(*[applied] * 4)
    made = [text for text in results if text == "9 changes"]
    assert len(made) == 1
    assert all(text == "0 changes" or text.startswith("Another file") for text in results if text != "9 changes")
    assert plan_definitions(TRIALS) == []


def test_an_apply_waits_for_the_step_of_a_person(committed: None) -> None:
    def draft_by_hand() -> str:
        return str(drafts.draft_version("behavioral", "2.0", by=None, reason="By hand"))

    results: list[str] = []
    during(kept(results, draft_by_hand), kept(results, applied))
    # The draft that a person made meanwhile gets the features of the file.
    assert results == ["behavioral:2.0", "9 changes"]
    assert plan_definitions(TRIALS) == []
