"""The page of a step in the life of a version or a weight set: it says what the step does, asks why, and takes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from featurehub.admin.forms import ReasonForm
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.lifecycle.steps import SAY_WHY
from features.models import FeatureVersion, WeightSet


def noun_of(subject: FeatureVersion | WeightSet) -> str:
    """Return "version" or "set", as messages name the subject."""
    return "version" if isinstance(subject, FeatureVersion) else "set"


class StepForm(ReasonForm):
    """The form of a step of `subject`. Steps that need more than a reason have a form that derives from it."""

    def __init__(self, *args: Any, subject: FeatureVersion | WeightSet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        self.fields["reason"].error_messages["required"] = SAY_WHY.format(kept_with=noun_of(subject))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step as its page shows it. `done` is the message after it, with {subject} in it."""

    title: str
    sentence: str
    button: str
    done: str
    permission: str
    states: tuple[str, ...]
    # Gets the subject's primary key, the person and the valid form. The page after it may depend on what it returns.
    take: Callable[[int, User, StepForm], object]
    form: type[StepForm] = StepForm
    is_main: bool = False


def with_reason(step: Callable[..., object]) -> Callable[[int, User, StepForm], object]:
    """Return the `take` of a step that needs the person and the reason only: `step(pk, by=…, reason=…)`."""
    return lambda pk, by, form: step(pk, by=by, reason=form.why)


def step_page(
    request: HttpRequest,
    *,
    step: Step,
    subject: FeatureVersion | WeightSet,
    sentence: str,
    next_page: Callable[[object], str],
    context: dict[str, Any],
    applies: bool = True,
) -> HttpResponse:
    """Show the page of a step on GET, take the step on POST.

    `sentence` says what the step does to the subject; `next_page` returns the address to go to after it. Unless the
    step `applies` to such a subject at all, the page says that there is nothing to do. Errors of the service are shown
    beside the field that they name.
    """
    if not may(request, step.permission):
        raise PermissionDenied
    form = step.form(request.POST or None, subject=subject)
    if request.method == "POST" and form.is_valid():
        answer = take(step, request=request, form=form, next_page=next_page)
        if answer is not None:
            return answer
        subject.refresh_from_db()
    values = {
        "title": f"{step.title}: {subject.name if isinstance(subject, WeightSet) else subject}",
        "step": step,
        "subject": subject,
        "subject_page": reverse(f"admin:features_{subject._meta.model_name}_change", args=[subject.pk]),
        "noun": noun_of(subject),
        "sentence": sentence,
        "form": form,
        "possible": applies and subject.state in step.states,
    }
    return TemplateResponse(request, "features/admin/step.html", {**context, **values})


def take(
    step: Step, *, request: HttpRequest, form: StepForm, next_page: Callable[[object], str]
) -> HttpResponse | None:
    """Take the step and redirect to the next page. Return None where it is refused, with the error in the form."""
    try:
        outcome = step.take(form.subject.pk, person(request), form)
    except FeatureHubError as error:
        form.add_error(error.attr if error.attr in form.fields else None, error.detail)
        return None
    messages.success(request, step.done.format(subject=form.subject))
    return HttpResponseRedirect(next_page(outcome))
