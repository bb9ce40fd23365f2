"""What becomes of a version's weight sets when nothing is scored by it any more."""

from features.lifecycle.weight_set_steps import CAN_BE_SHADOWS, Actor, lock_versions, move
from features.models import FeatureVersion, WeightSet, WeightSetStep

State, Action = WeightSet.State, WeightSetStep.Action


def retire_sets(version: FeatureVersion, *, by: Actor, reason: str) -> None:
    """Supersedes the version's active set by none, and makes drafts again of those on their way to be active.

    Runs in the transaction that retires the version. Its sets can be looked at and tried out, not activated.
    """
    lock_versions()
    why = f"{version} is retired. {reason}"
    for weight_set in version.weight_sets.filter(state__in=(State.ACTIVE, *CAN_BE_SHADOWS)).order_by("pk"):
        if weight_set.state == State.ACTIVE:
            move(weight_set, State.SUPERSEDED, action=Action.SUPERSEDED, by=by, reason=why)
        else:
            move(weight_set, State.DRAFT, action=Action.SENT_BACK, by=by, reason=why)
