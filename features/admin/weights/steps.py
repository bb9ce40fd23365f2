"""The steps in a set's life as pages: what the step does, why it is taken, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.admin.weights.forms import ReasonForm, ScheduleForm
from features.lifecycle import weight_set_steps
from features.models import FeatureVersion, Run, WeightSet

State = WeightSet.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step as its page shows it. `take` does it; a Run that it returns is watched next."""

    title: str
    sentence: str
    button: str
    done: str
    permission: str
    states: tuple[str, ...]
    take: Callable[[int, User, Mapping[str, Any]], Run | None]
    form: type[ReasonForm] = ReasonForm
    is_main: bool = True


def schedule(pk: int, by: User, cleaned: Mapping[str, Any]) -> None:
    weight_set_steps.schedule(pk, at=cleaned["at"], now=datetime.now(UTC), by=by, reason=cleaned["reason"])


STEPS = {
    "propose": Step(
        title="Propose",
        sentence="Asks for approval. Changing a number afterwards makes the set a draft again.",
        button="Propose this set",
        done="{set} is proposed: somebody who may approve can do so now.",
        permission="change_weightset",
        states=(State.DRAFT,),
        take=lambda pk, by, cleaned: weight_set_steps.propose(pk, by=by, reason=cleaned["reason"]),
    ),
    "approve": Step(
        title="Approve",
        sentence="Says that these weights may go live. Nobody is scored differently yet.",
        button="Approve this set",
        done="{set} is approved: it can be activated or scheduled.",
        permission="approve_weightset",
        states=(State.PROPOSED,),
        take=lambda pk, by, cleaned: weight_set_steps.approve(pk, by=by, reason=cleaned["reason"]),
    ),
    "activate": Step(
        title="Activate now",
        sentence=(
            "Makes these the weights of every score of their version, freezes the set, and re-scores all customers "
            "from their stored activity. Until a customer's turn comes, readers see the earlier score. You can roll "
            "back exactly."
        ),
        button="Activate and re-score everybody",
        done="{set} is active. Customers are being re-scored.",
        permission="activate_weightset",
        states=(State.DRAFT, State.PROPOSED, State.APPROVED, State.SCHEDULED),
        take=lambda pk, by, cleaned: weight_set_steps.activate(pk, by=by, reason=cleaned["reason"]),
    ),
    "schedule": Step(
        title="Schedule",
        sentence="Activates the set at the moment you choose; until then it can be taken off the schedule.",
        button="Schedule this set",
        done="{set} is scheduled.",
        permission="activate_weightset",
        states=(State.DRAFT, State.PROPOSED, State.APPROVED, State.SCHEDULED),
        take=schedule,
        form=ScheduleForm,
        is_main=False,
    ),
    "unschedule": Step(
        title="Cancel the schedule",
        sentence="Takes the set off the schedule. It stays approved.",
        button="Cancel the schedule",
        done="{set} is off the schedule.",
        permission="activate_weightset",
        states=(State.SCHEDULED,),
        take=lambda pk, by, cleaned: weight_set_steps.unschedule(pk, by=by, reason=cleaned["reason"]),
        is_main=False,
    ),
    "shadow": Step(
        title="Run in shadow",
        sentence=(
            "Scores customers with these weights beside the active ones, day after day, and charts the difference. "
            "Readers see nothing of it. It ends when the set is changed or activated."
        ),
        button="Run in shadow",
        done="{set} runs in shadow: its page shows a point for each day, the first within the hour.",
        permission="change_weightset",
        states=weight_set_steps.CAN_BE_SHADOWS,
        take=lambda pk, by, cleaned: weight_set_steps.start_shadow(pk, by=by, reason=cleaned["reason"]),
        is_main=False,
    ),
    "unshadow": Step(
        title="End the shadow",
        sentence="Stops scoring beside the active set. The days charted so far stay.",
        button="End the shadow",
        done="{set} does not run in shadow any more.",
        permission="change_weightset",
        states=weight_set_steps.CAN_BE_SHADOWS,
        take=lambda pk, by, cleaned: weight_set_steps.end_shadow(pk, by=by, reason=cleaned["reason"]),
        is_main=False,
    ),
    "send-back": Step(
        title="Send back",
        sentence="Makes the set a draft again. Its approval and its schedule go.",
        button="Send back to draft",
        done="{set} is a draft again.",
        permission="change_weightset",
        states=(State.PROPOSED, State.APPROVED, State.SCHEDULED),
        take=lambda pk, by, cleaned: weight_set_steps.send_back(pk, by=by, reason=cleaned["reason"]),
        is_main=False,
    ),
    "roll-back": Step(
        title="Roll back to this set",
        sentence=(
            "Makes a new set with these weights and activates it at once. Customers get exactly the scores they had "
            "under this set, as far as their activity is the same."
        ),
        button="Roll back and re-score everybody",
        done="The weights of {set} are active again. Customers are being re-scored.",
        permission="activate_weightset",
        states=(State.SUPERSEDED,),
        take=lambda pk, by, cleaned: weight_set_steps.roll_back(pk, by=by, reason=cleaned["reason"]),
    ),
}


def possible_steps(weight_set: WeightSet, *, request: HttpRequest) -> list[tuple[str, Step]]:
    """The steps that the set's state, its version and the user's permissions allow, in the order of a set's life."""
    if weight_set.version.state == FeatureVersion.State.RETIRED:
        return []
    return [
        (name, step)
        for name, step in STEPS.items()
        if weight_set.state in step.states
        and may(request, step.permission)
        and (name not in ("activate", "schedule") or weight_set.state in startable())
        and name != ("unshadow" if weight_set.shadow_since is None else "shadow")
    ]


def startable() -> tuple[str, ...]:
    """The states that a set may be activated or scheduled from, under the approval setting."""
    return (*weight_set_steps.before_activation(), State.SCHEDULED)


def step_page(request: HttpRequest, *, pk: int, name: str, context: dict[str, Any]) -> HttpResponse:
    """The page of a step: GET shows it, POST takes it; what the service refuses is shown beside the field it names."""
    step = STEPS.get(name)
    weight_set = WeightSet.objects.select_related("version").filter(pk=pk).first()
    if step is None or weight_set is None:
        raise Http404("There is no such weight set or step.")
    if not may(request, step.permission):
        raise PermissionDenied
    form = step.form(request.POST or None)
    if request.method == "POST" and form.is_valid():
        answer = take(step, request=request, weight_set=weight_set, form=form)
        if answer is not None:
            return answer
        weight_set.refresh_from_db()
    values = {
        "title": f"{step.title}: {weight_set.name}",
        "weight_set": weight_set,
        "step": step,
        "form": form,
        "possible": weight_set.state in step.states,
    }
    return TemplateResponse(request, "features/weights/step.html", {**context, **values})


def take(step: Step, *, request: HttpRequest, weight_set: WeightSet, form: forms.Form) -> HttpResponse | None:
    """Takes the step and goes to what comes next; None where it was refused, with the reason in the form."""
    try:
        run = step.take(weight_set.pk, person(request), form.cleaned_data)
    except FeatureHubError as error:
        form.add_error(error.attr if error.attr in form.fields else None, error.detail)
        return None
    messages.success(request, step.done.format(set=weight_set))
    if run is not None:
        return HttpResponseRedirect(reverse("admin:features_weightset_progress", args=[run.pk]))
    return HttpResponseRedirect(reverse("admin:features_weightset_change", args=[weight_set.pk]))
