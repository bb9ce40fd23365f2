"""The page of a step in the life of a version or a weight set: it says what the step does and to what, and asks why.

The form carries what the page showed, signed, and the step is taken only if that is still so. Otherwise the page comes
again, with what has changed since.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from featurehub.admin.forms import ReasonForm
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError, UnknownError
from features.lifecycle.shown import Shown, changes_between, contents_of, in_use, shown_of
from features.lifecycle.steps import SAY_WHY, ChangedSinceError
from features.models import FeatureVersion, WeightSet

NOT_SHOWN = "The page did not say what you were shown. Look at it again, then press the button."


def noun_of(subject: FeatureVersion | WeightSet) -> str:
    """Return "version" or "set", as messages name the subject."""
    return "version" if isinstance(subject, FeatureVersion) else "set"


class StepForm(ReasonForm):
    """The form of a step of `subject`. Steps that need more than a reason have a form that derives from it."""

    shown = forms.CharField(widget=forms.HiddenInput, error_messages={"required": NOT_SHOWN})

    def __init__(self, *args: Any, subject: FeatureVersion | WeightSet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        # The browser would scroll to the reason, past what the page shows.
        self.fields["reason"].widget.attrs.pop("autofocus", None)
        self.fields["reason"].error_messages["required"] = SAY_WHY.format(kept_with=noun_of(subject))

    def clean_shown(self) -> Shown:
        """Return what the page showed when the browser loaded it."""
        try:
            shown: Shown = signing.loads(self.cleaned_data["shown"], salt=salt_of(self.subject))
        except signing.BadSignature:
            raise ValidationError(NOT_SHOWN) from None
        return shown

    @property
    def was_shown(self) -> Shown:
        """The lines that the page showed when the browser loaded it; of a form whose `shown` is valid."""
        shown: Shown = self.cleaned_data["shown"]
        return shown


def salt_of(subject: FeatureVersion | WeightSet) -> str:
    """Return the salt of the signature, so that a page of one subject can't stand for one of another."""
    return f"step of {subject._meta.label} {subject.pk}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A line of the table: its text of the subject, and of what is in use now."""

    label: str
    text: str
    in_use: str
    differs: bool


def shown_rows(shown: Shown, *, other: Shown, contents: Shown) -> list[ShownRow]:
    """Return the lines of the subject, then those that only the other has. Only `contents` are compared."""
    return [
        ShownRow(
            label=label,
            text=shown.get(label, ""),
            in_use=other.get(label, ""),
            differs=bool(other) and contents.get(label, "") != other.get(label, ""),
        )
        for label in dict.fromkeys([*shown, *other])
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step as its page shows it.

    `done` is the message after it, with {subject} in it; it may depend on the outcome.
    """

    title: str
    sentence: str
    button: str
    done: str | Callable[[object], str]
    permission: str
    states: tuple[str, ...]
    # Gets the subject's primary key, the person and the valid form. The page after it may depend on what it returns.
    take: Callable[[int, User, StepForm], object]
    form: type[StepForm] = StepForm
    is_main: bool = False


def with_reason(step: Callable[..., object]) -> Callable[[int, User, StepForm], object]:
    """Return the `take` of a step that needs no more than `step(pk, by=…, reason=…, shown=…)`."""
    return lambda pk, by, form: step(pk, by=by, reason=form.why, shown=form.was_shown)


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
    """Show the page of a step on GET, take the step on POST if the subject is what the page showed.

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
        **context_of_shown(subject, form=form),
    }
    return TemplateResponse(request, "features/admin/step.html", {**context, **values})


def context_of_shown(subject: FeatureVersion | WeightSet, *, form: StepForm) -> dict[str, Any]:
    """Return the table of what the subject is now, the same signed, and what has changed since a form that was sent."""
    shown, used = shown_of(subject), in_use(subject)
    sent = form.cleaned_data.get("shown") if form.is_bound else None
    return {
        "shown_rows": shown_rows(shown, other=contents_of(used) if used else {}, contents=contents_of(subject)),
        "in_use": used,
        "shown_signed": signing.dumps(shown, salt=salt_of(subject), compress=True),
        "changes": changes_between(sent, shown) if sent is not None else [],
    }


def take(
    step: Step, *, request: HttpRequest, form: StepForm, next_page: Callable[[object], str]
) -> HttpResponse | None:
    """Take the step and redirect to the next page. Return None where it is refused, with the error in the form.

    Raises Http404 where somebody has deleted the subject meanwhile.
    """
    try:
        outcome = step.take(form.subject.pk, person(request), form)
    except UnknownError as error:
        raise Http404(error.detail) from error
    except ChangedSinceError as error:
        form.add_error(None, error.summary)  # the page has a table of the changes
        return None
    except FeatureHubError as error:
        form.add_error(error.attr if error.attr in form.fields else None, error.detail)
        return None
    done = step.done if isinstance(step.done, str) else step.done(outcome)
    messages.success(request, done.format(subject=form.subject))
    return HttpResponseRedirect(next_page(outcome))
