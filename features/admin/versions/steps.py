"""The steps in a version's life as pages: what the step does, why it is taken, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.admin.versions.forms import InputsForm, LifetimeForm, RetireForm, VersionReasonForm
from features.lifecycle import drafts, version_steps
from features.lifecycle.drafts import BEFORE_RETIREMENT
from features.models import FeatureType, FeatureVersion, Run
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.registry.snapshot import SWITCH_AFTER

State = FeatureVersion.State
SECONDS = int(SWITCH_AFTER.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step as its page shows it; `take` does it."""

    title: str
    sentence: str
    button: str
    done: str
    permission: str
    states: tuple[str, ...]
    take: Callable[[int, User, VersionReasonForm], object]
    types: tuple[str, ...] = tuple(FeatureType.values)
    form: type[VersionReasonForm] = VersionReasonForm
    is_main: bool = False
    # What it does where clients write the version's values; empty: the same.
    sentence_if_written: str = ""


def choose_inputs(pk: int, by: User, form: VersionReasonForm) -> None:
    assert isinstance(form, InputsForm)
    drafts.set_inputs(pk, form.inputs, by=by, reason=form.why)


COMPUTED = tuple(value for value in FeatureType.values if value not in WRITTEN_BY_CLIENTS)
STEPS = {
    "shadow": Step(
        title="Put into shadow",
        sentence=(
            "From then on the version is computed beside the live one, and whoever asks for it can read it; the others "
            "see nothing of it. First everybody's values are computed. Its features don't change any more."
        ),
        sentence_if_written=(
            "From then on clients can write this version beside the live one, and whoever asks for it can read it; the "
            "others see nothing of it. It has no values at first: let clients write both until it goes live. Its "
            "features can be added to, and not taken out any more."
        ),
        button="Put this version into shadow",
        done="{version} is in shadow.",
        permission="release_featureversion",
        states=(State.DRAFT,),
        take=lambda pk, by, form: version_steps.put_into_shadow(pk, by=by, reason=form.why),
        is_main=True,
    ),
    "go-live": Step(
        title="Go live",
        sentence=(
            f"Whoever reads without asking for a version gets this one, all of them from one moment, {SECONDS} seconds "
            "after you press the button. The version that is live now stays readable for those who ask for it, and "
            "you can go back to it."
        ),
        sentence_if_written=(
            f"Whoever reads without asking for a version gets this one, all of them from one moment, {SECONDS} seconds "
            "after you press the button. What clients have not written into it by then is read as missing. The version "
            "that is live now stays readable and writable for those who ask for it, and you can go back to it."
        ),
        button="Make this the live version",
        done=f"{{version}} is the live version: readers are switched in {SECONDS} seconds.",
        permission="release_featureversion",
        states=(State.SHADOW,),
        take=lambda pk, by, form: version_steps.go_live(pk, by=by, reason=form.why),
        is_main=True,
    ),
    "back-to-live": Step(
        title="Back to live",
        sentence=(
            f"Makes this version what readers get again, all of them from one moment, {SECONDS} seconds after you "
            "press the button. It was computed all the while, so its values are up to date."
        ),
        sentence_if_written=(
            f"Makes this version what readers get again, all of them from one moment, {SECONDS} seconds after you "
            "press the button. Its values are what clients have written into it, also since it was deprecated."
        ),
        button="Go back to this version",
        done=f"{{version}} is live again: readers are switched in {SECONDS} seconds.",
        permission="release_featureversion",
        states=(State.DEPRECATED,),
        take=lambda pk, by, form: version_steps.go_live(pk, by=by, reason=form.why),
        is_main=True,
    ),
    "retire": Step(
        title="Retire",
        sentence=(
            "Takes the version out of use for good: it is neither computed nor read any more, and whoever asks for it "
            "is told that it is not there. Its history stays."
        ),
        sentence_if_written=(
            "Takes the version out of use for good: whoever reads or writes it is told that it is not there. Its "
            "history stays."
        ),
        button="Retire this version",
        done="{version} is retired.",
        permission="release_featureversion",
        states=(State.SHADOW, State.DEPRECATED),
        take=lambda pk, by, form: version_steps.retire(
            pk, by=by, reason=form.why, confirmed=form.cleaned_data.get("confirmed", False)
        ),
        form=RetireForm,
    ),
    "compute": Step(
        title="Compute everybody again",
        sentence="Computes the values of all customers from their events, as when the version went into shadow.",
        button="Compute everybody again",
        done="Everybody's values of {version} are being computed.",
        permission="release_featureversion",
        states=(State.SHADOW, State.LIVE, State.DEPRECATED),
        types=COMPUTED,
        take=lambda pk, by, form: version_steps.compute_again(pk, by=by, reason=form.why),
    ),
    "time-to-live": Step(
        title="Change the time to live",
        sentence="How old values may be before they are read as expired. It holds for readers within seconds.",
        button="Change it",
        done="The time to live of {version} is changed.",
        permission="release_featureversion",
        states=BEFORE_RETIREMENT,
        take=lambda pk, by, form: drafts.set_time_to_live(
            pk, form.cleaned_data["time_to_live"], by=by, reason=form.why
        ),
        form=LifetimeForm,
    ),
    "inputs": Step(
        title="Choose what it is computed from",
        sentence="Which version of each other type the expressions read. It is fixed when the draft goes into shadow.",
        button="Compute it from these",
        done="{version} is computed from the versions you chose.",
        permission="change_featureversion",
        states=(State.DRAFT,),
        types=(FeatureType.DERIVED,),
        take=choose_inputs,
        form=InputsForm,
    ),
    "discard": Step(
        title="Discard",
        sentence="Deletes the draft. The features in it stay, for other versions.",
        button="Discard this draft",
        done="The draft {version} is gone.",
        permission="delete_featureversion",
        states=(State.DRAFT,),
        take=lambda pk, by, form: drafts.discard(pk),
    ),
}


def possible_steps(version: FeatureVersion, *, request: HttpRequest) -> list[tuple[str, Step]]:
    """The steps that the version's state and the user's permissions allow, in the order of a version's life."""
    has_failed = version.runs.exists() and version.runs.all()[0].state == Run.State.FAILED
    return [
        (name, step)
        for name, step in STEPS.items()
        if is_possible(step, version) and may(request, step.permission) and (name != "compute" or has_failed)
    ]


def is_possible(step: Step, version: FeatureVersion) -> bool:
    return version.state in step.states and version.feature_type in step.types


def sentence_for(step: Step, *, version: FeatureVersion) -> str:
    """What the step does to this version."""
    return (step.sentence_if_written if version.feature_type in WRITTEN_BY_CLIENTS else "") or step.sentence


def step_page(request: HttpRequest, *, pk: int, name: str, context: dict[str, Any]) -> HttpResponse:
    """The page of a step: GET shows it, POST takes it; what the service refuses is shown beside the field it names."""
    step = STEPS.get(name)
    version = FeatureVersion.objects.filter(pk=pk).first()
    if step is None or version is None:
        raise Http404("There is no such version or step.")
    if not may(request, step.permission):
        raise PermissionDenied
    form = step.form(request.POST or None, version=version)
    if request.method == "POST" and form.is_valid() and take(step, request=request, version=version, form=form):
        messages.success(request, step.done.format(version=version))
        return HttpResponseRedirect(page_of(version))
    version.refresh_from_db()
    values = {
        "title": f"{step.title}: {version}",
        "version": version,
        "step": step,
        "sentence": sentence_for(step, version=version),
        "form": form,
        "uses": version_steps.recent_uses(version) if name == "retire" else (),
        "possible": is_possible(step, version),
    }
    return TemplateResponse(request, "features/versions/step.html", {**context, **values})


def take(step: Step, *, request: HttpRequest, version: FeatureVersion, form: VersionReasonForm) -> bool:
    """Whether the step was taken; where it was refused, the reason is in the form."""
    try:
        step.take(version.pk, person(request), form)
    except FeatureHubError as error:
        form.add_error(error.attr if error.attr in form.fields else None, error.detail)
        return False
    return True


def page_of(version: FeatureVersion) -> str:
    """Where to go after a step: to the version's page, or the list where it is gone."""
    if FeatureVersion.objects.filter(pk=version.pk).exists():
        return reverse("admin:features_featureversion_change", args=[version.pk])
    return reverse("admin:features_featureversion_changelist")
