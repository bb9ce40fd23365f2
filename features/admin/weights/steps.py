"""The steps in the life of a weight set, as the pages of the admin show them."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from featurehub.admin.permissions import may
from features.admin.step_pages import Step, StepForm, step_page, with_reason
from features.admin.weights.backtests import last_backtest
from features.admin.weights.forms import ScheduleForm
from features.lifecycle import weight_set_steps
from features.lifecycle.steps import UNDER_WAY, VersionState, WeightSetState
from features.models import Run, WeightSet


def schedule_from_form(pk: int, by: User, form: StepForm) -> None:
    at, now = form.cleaned_data["at"], datetime.now(UTC)
    weight_set_steps.schedule(pk, at=at, now=now, by=by, reason=form.why, shown=form.was_shown)


WEIGHT_SET_STEPS = {
    "propose": Step(
        title="Propose",
        sentence="Asks for approval. Changing a number afterwards makes the set a draft again.",
        button="Propose this set",
        done="{subject} is proposed and can be approved now.",
        permission="features.change_weightset",
        states=(WeightSetState.DRAFT,),
        take=with_reason(weight_set_steps.propose),
        is_main=True,
    ),
    "approve": Step(
        title="Approve",
        sentence="Confirms that these weights may go live. No score changes yet.",
        button="Approve this set",
        done="{subject} is approved: it can be activated or scheduled.",
        permission="features.approve_weightset",
        states=(WeightSetState.PROPOSED,),
        take=with_reason(weight_set_steps.approve),
        is_main=True,
    ),
    "activate": Step(
        title="Activate now",
        sentence=(
            "Makes these the weights of every score of their version, freezes the set, and re-scores all customers "
            "from their stored activity. Until a customer's turn comes, readers see the earlier score. You can roll "
            "back exactly."
        ),
        button="Activate and re-score all customers",
        done="{subject} is active. Customers are being re-scored.",
        permission="features.activate_weightset",
        states=(WeightSetState.DRAFT, *UNDER_WAY),
        take=with_reason(weight_set_steps.activate),
        is_main=True,
    ),
    "schedule": Step(
        title="Schedule",
        sentence="Activates the set at the moment you choose; until then it can be taken off the schedule.",
        button="Schedule this set",
        done="{subject} is scheduled.",
        permission="features.activate_weightset",
        states=(WeightSetState.DRAFT, *UNDER_WAY),
        take=schedule_from_form,
        form=ScheduleForm,
    ),
    "unschedule": Step(
        title="Cancel the schedule",
        sentence="Takes the set off the schedule. It stays approved.",
        button="Cancel the schedule",
        done="{subject} is off the schedule.",
        permission="features.activate_weightset",
        states=(WeightSetState.SCHEDULED,),
        take=with_reason(weight_set_steps.unschedule),
    ),
    "shadow": Step(
        title="Run in shadow",
        sentence=(
            "Scores customers with these weights beside the active ones, day after day, and charts the difference. "
            "Readers see nothing of it. It ends when the set is changed or activated."
        ),
        button="Run in shadow",
        done="{subject} runs in shadow: its page shows a point for each day, the first within the hour.",
        permission="features.change_weightset",
        states=UNDER_WAY,
        take=with_reason(weight_set_steps.start_shadow),
    ),
    "unshadow": Step(
        title="End the shadow",
        sentence="Stops scoring beside the active set. The days charted so far stay.",
        button="End the shadow",
        done="{subject} does not run in shadow any more.",
        permission="features.change_weightset",
        states=UNDER_WAY,
        take=with_reason(weight_set_steps.end_shadow),
    ),
    "send-back": Step(
        title="Send back",
        sentence="Makes the set a draft again. Its approval and its schedule go.",
        button="Send back to draft",
        done="{subject} is a draft again.",
        permission="features.change_weightset",
        states=UNDER_WAY,
        take=with_reason(weight_set_steps.send_back),
    ),
    "roll-back": Step(
        title="Roll back to this set",
        sentence=(
            "Makes a new set with these weights and activates it at once. Customers get exactly the scores they had "
            "under this set, as far as their activity is the same."
        ),
        button="Roll back and re-score all customers",
        done="The weights of {subject} are active again. Customers are being re-scored.",
        permission="features.activate_weightset",
        states=(WeightSetState.SUPERSEDED,),
        take=with_reason(weight_set_steps.roll_back),
        is_main=True,
    ),
}


def possible_weight_set_steps(weight_set: WeightSet, *, request: HttpRequest) -> list[tuple[str, Step]]:
    """Return the steps that the set's state, its version and the user's permissions allow, in the order of its life."""
    if weight_set.version.state == VersionState.RETIRED:
        return []
    return [
        (name, step)
        for name, step in WEIGHT_SET_STEPS.items()
        if weight_set.state in step.states
        and may(request, step.permission)
        and (name not in ("activate", "schedule") or weight_set.state in startable())
        and name != ("unshadow" if weight_set.shadow_since is None else "shadow")
    ]


def startable() -> tuple[str, ...]:
    """Return the states that a set may be activated or scheduled from, under the approval setting."""
    return (*weight_set_steps.before_activation(), WeightSetState.SCHEDULED)


def weight_set_step_page(request: HttpRequest, *, pk: int, name: str, context: dict[str, Any]) -> HttpResponse:
    """Show the page of a weight set's step, or take the step."""
    step = WEIGHT_SET_STEPS.get(name)
    weight_set = WeightSet.objects.select_related("version").filter(pk=pk).first()
    if step is None or weight_set is None:
        raise Http404("There is no such weight set or step.")

    def next_page(outcome: object) -> str:
        """Return the progress of the run that the step started, else the set's page."""
        if isinstance(outcome, Run):
            return reverse("admin:features_weightset_progress", args=[outcome.pk])
        return reverse("admin:features_weightset_change", args=[weight_set.pk])

    return step_page(
        request,
        step=step,
        subject=weight_set,
        sentence=step.sentence,
        next_page=next_page,
        context={
            **context,
            **(last_backtest(weight_set) if name == "approve" else {}),
            "is_approval": name == "approve",
        },
    )
