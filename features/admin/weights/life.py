"""The life of a weight set as the stages of a stepper."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.lifecycle.steps import WeightSetState
from features.models import WeightSet, WeightSetStep

StepAction = WeightSetStep.Action
# Each stage and the steps that lead into it, in the order of a set's life.
STAGES = {
    WeightSetState.DRAFT: (StepAction.CREATED, StepAction.EDITED, StepAction.SENT_BACK),
    WeightSetState.PROPOSED: (StepAction.PROPOSED,),
    WeightSetState.APPROVED: (StepAction.APPROVED,),
    WeightSetState.SCHEDULED: (StepAction.SCHEDULED,),
    WeightSetState.ACTIVE: (StepAction.ACTIVATED,),
    WeightSetState.SUPERSEDED: (StepAction.SUPERSEDED,),
}
# The stages that still come are shown; a schedule and an end are not, before they are there.
ON_THE_WAY = (WeightSetState.PROPOSED, WeightSetState.APPROVED, WeightSetState.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeStage:
    """A stage of a set's life: `progress` is done, current or coming, `step` the one that led into it."""

    label: str
    progress: str
    step: WeightSetStep | None


def life_stages(weight_set: WeightSet, *, steps: Sequence[WeightSetStep]) -> list[LifeStage]:
    """Return the stages from the draft on; those that the set skipped are left out. `steps` are in order of time."""
    order = list(STAGES)
    now = order.index(WeightSetState(weight_set.state))
    stages = []
    for position, state in enumerate(order):
        step = next((step for step in reversed(steps) if step.action in STAGES[state]), None)
        if position < now and step is not None:
            stages.append(LifeStage(label=str(state.label), progress="done", step=step))
        elif position == now:
            stages.append(LifeStage(label=str(state.label), progress="current", step=step))
        elif position > now and state in ON_THE_WAY:
            stages.append(LifeStage(label=str(state.label), progress="coming", step=None))
    return stages
