"""The steps in the life of a version, as the pages of the admin show them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from featurehub.admin.permissions import may
from features.admin.step_pages import Step, StepForm, step_page, with_reason
from features.admin.versions.forms import BackfillForm, InputsForm, LifetimeForm, RetireForm, ShadowForm
from features.admin.versions.going_live import GoLiveForm, going_live_context
from features.lifecycle import drafts, version_steps
from features.lifecycle.drafts import BEFORE_RETIREMENT
from features.lifecycle.steps import VersionState
from features.lifecycle.uses import RETIRABLE, pinning_sets, recent_uses
from features.materialization.computed_ranges import first_computed
from features.models import FeatureType, FeatureVersion, Run
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.registry.snapshot import SWITCH_AFTER

SECONDS = int(SWITCH_AFTER.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStep(Step):
    """A step that only some feature types may have."""

    types: tuple[str, ...] = tuple(FeatureType.values)
    # The sentence for a version whose values clients write; empty: `sentence`.
    sentence_if_written: str = ""


def choose_inputs(pk: int, by: User, form: StepForm) -> None:
    assert isinstance(form, InputsForm)
    drafts.set_inputs(pk, form.inputs, by=by, reason=form.why, shown=form.was_shown)


def discard_and_log(pk: int, by: User, form: StepForm) -> None:
    """Discard a draft. Its timeline goes with it, so the log of the admin keeps who did that and why."""
    with transaction.atomic():
        LogEntry.objects.log_actions(by.pk, [form.subject], DELETION, f"Discarded. {form.why}", single_object=True)
        drafts.discard(pk, by=by, reason=form.why, shown=form.was_shown)


def take_live(pk: int, by: User, form: StepForm) -> Run | None:
    assert isinstance(form, GoLiveForm)
    return version_steps.go_live(pk, by=by, reason=form.why, shown=form.was_shown, carry_weights=form.carries)


def said_of(what: str) -> Callable[[object], str]:
    """Return the message after a version went live: `what`, and when readers are switched."""
    later = "everybody is scored with the weights carried over, then readers are switched."
    return lambda run: f"{{subject}} {what}: {f'readers are switched in {SECONDS} seconds.' if run is None else later}"


COMPUTED = tuple(value for value in FeatureType.values if value not in WRITTEN_BY_CLIENTS)
VERSION_STEPS = {
    "shadow": VersionStep(
        title="Put into shadow",
        sentence=(
            "Computes the version beside the live one, first for all customers. It can be read by naming the version; "
            "other readers are not affected. Its features are fixed from then on."
        ),
        sentence_if_written=(
            "Lets clients write this version beside the live one, and read it by naming the version; other readers are "
            "not affected. It has no values at first: let clients write both until it goes live. Features can be added "
            "later, but not taken out."
        ),
        button="Put this version into shadow",
        done="{subject} is in shadow.",
        permission="features.release_featureversion",
        states=(VersionState.DRAFT,),
        take=lambda pk, by, form: version_steps.put_into_shadow(
            pk, by=by, reason=form.why, shown=form.was_shown, backfill_since=form.cleaned_data.get("backfill_since")
        ),
        form=ShadowForm,
        is_main=True,
    ),
    "go-live": VersionStep(
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
        done=said_of("is the live version"),
        permission="features.release_featureversion",
        states=(VersionState.SHADOW,),
        take=take_live,
        form=GoLiveForm,
        is_main=True,
    ),
    "back-to-live": VersionStep(
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
        done=said_of("is live again"),
        permission="features.release_featureversion",
        states=(VersionState.DEPRECATED,),
        take=take_live,
        form=GoLiveForm,
        is_main=True,
    ),
    "retire": VersionStep(
        title="Retire",
        sentence=(
            "Takes the version out of use for good: it is no longer computed, and reads of it are answered with 404. "
            "Its history stays."
        ),
        sentence_if_written=(
            "Takes the version out of use for good: reads and writes of it are answered with 404. Its history stays."
        ),
        button="Retire this version",
        done="{subject} is retired.",
        permission="features.release_featureversion",
        states=RETIRABLE,
        take=lambda pk, by, form: version_steps.retire(
            pk, by=by, reason=form.why, shown=form.was_shown, confirmed=form.cleaned_data.get("confirmed", False)
        ),
        form=RetireForm,
    ),
    "compute": VersionStep(
        title="Compute all customers again",
        sentence="Computes the values of all customers from their events, as when the version went into shadow.",
        button="Compute all customers again",
        done="All values of {subject} are being computed.",
        permission="features.release_featureversion",
        states=(VersionState.SHADOW, VersionState.LIVE, VersionState.DEPRECATED),
        types=COMPUTED,
        take=with_reason(version_steps.compute_again),
    ),
    "backfill": VersionStep(
        title="Backfill its history",
        sentence=(
            "Computes everybody's values on each day from the one that you choose to the first that the version has, "
            "with the weights that are active in it now. Training sets and reads at a moment have them when all days "
            "are done; what readers get now does not change."
        ),
        button="Compute its past",
        done="The past of {subject} is being computed.",
        permission="features.release_featureversion",
        states=(VersionState.SHADOW, VersionState.LIVE, VersionState.DEPRECATED),
        types=COMPUTED,
        take=lambda pk, by, form: version_steps.backfill(
            pk, since=form.cleaned_data["backfill_since"], by=by, reason=form.why, shown=form.was_shown
        ),
        form=BackfillForm,
    ),
    "time-to-live": VersionStep(
        title="Change the time to live",
        sentence="How old values may be before they are read as expired. It holds for readers within seconds.",
        button="Change it",
        done="The time to live of {subject} is changed.",
        permission="features.release_featureversion",
        states=BEFORE_RETIREMENT,
        take=lambda pk, by, form: drafts.set_time_to_live(
            pk, form.cleaned_data["time_to_live"], by=by, reason=form.why, shown=form.was_shown
        ),
        form=LifetimeForm,
    ),
    "inputs": VersionStep(
        title="Choose what it is computed from",
        sentence="Which version of each other type the expressions read. It is fixed when the draft goes into shadow.",
        button="Compute it from these",
        done="{subject} is computed from the versions you chose.",
        permission="features.change_featureversion",
        states=(VersionState.DRAFT,),
        types=(FeatureType.DERIVED,),
        take=choose_inputs,
        form=InputsForm,
    ),
    "discard": VersionStep(
        title="Discard",
        sentence="Deletes the draft. The features in it stay, for other versions.",
        button="Discard this draft",
        done="The draft {subject} is gone.",
        permission="features.delete_featureversion",
        states=(VersionState.DRAFT,),
        take=discard_and_log,
    ),
}


def possible_version_steps(version: FeatureVersion, *, request: HttpRequest) -> list[tuple[str, VersionStep]]:
    """Return the steps that the version's state and the user's permissions allow, in the order of a version's life."""
    newest = version.runs.filter(kind=Run.Kind.RECOMPUTE).first()
    state = None if newest is None else newest.state
    has_failed = state == Run.State.FAILED or (version.put_aside_at is not None and state != Run.State.RUNNING)
    return [
        (name, step)
        for name, step in VERSION_STEPS.items()
        if version.state in step.states
        and version.feature_type in step.types
        and may(request, step.permission)
        and (name != "compute" or has_failed)
        and (name != "backfill" or can_be_backfilled(version))
    ]


def can_be_backfilled(version: FeatureVersion) -> bool:
    """Return whether there are days before the version's first values, and nobody computes them now."""
    is_running = version.runs.filter(kind=Run.Kind.BACKFILL, state=Run.State.RUNNING).exists()
    return first_computed(version) is not None and not is_running


def version_step_page(request: HttpRequest, *, pk: int, name: str, context: dict[str, Any]) -> HttpResponse:
    """Show the page of a version's step, or take the step."""
    step = VERSION_STEPS.get(name)
    version = FeatureVersion.objects.filter(pk=pk).first()
    if step is None or version is None:
        raise Http404("There is no such version or step.")
    is_written = version.feature_type in WRITTEN_BY_CLIENTS
    if version.state in step.states and step.form is GoLiveForm and may(request, step.permission):
        context |= going_live_context(version, query=request.GET)
    return step_page(
        request,
        step=step,
        subject=version,
        sentence=(step.sentence_if_written if is_written else "") or step.sentence,
        next_page=lambda outcome: page_after(version),
        context=context | (users_context(version) if name == "retire" else {}),
        applies=version.feature_type in step.types,
    )


def users_context(version: FeatureVersion) -> dict[str, Any]:
    """Return who would miss the version, for the page on which it is retired."""
    return {"uses": recent_uses(version), "sets": pinning_sets(version)}


def page_after(version: FeatureVersion) -> str:
    """Return the address to go to after a step: the version's page, or the list where the step deleted it."""
    if FeatureVersion.objects.filter(pk=version.pk).exists():
        return reverse("admin:features_featureversion_change", args=[version.pk])
    return reverse("admin:features_featureversion_changelist")
