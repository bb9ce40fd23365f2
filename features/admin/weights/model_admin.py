"""Weight sets in the admin: the numbers in one form, and the pages of the set's steps around it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import TabularInline
from unfold.decorators import display

from featurehub.admin.own_pages import OwnPages
from featurehub.admin.permissions import may, person
from featurehub.lib.enqueue import enqueue
from featurehub.lib.errors import ConflictError
from features.admin.step_pages import Step
from features.admin.weights.backtests import last_backtest, result_page, start_page
from features.admin.weights.charts import shadow_chart
from features.admin.weights.comparison import weight_comparison_page
from features.admin.weights.forms import WeightForm, WeightFormSet, WeightSetForm
from features.admin.weights.life import life_stages
from features.admin.weights.steps import possible_weight_set_steps, weight_set_step_page
from features.admin.weights.studio import studio_page, studio_preview
from features.formulas.behavioral import Weights
from features.lifecycle import weight_set_steps
from features.lifecycle.steps import WeightSetState, record
from features.models import Fitting, Run, Weight, WeightSet, WeightSetStep
from features.registry.weight_sets import as_weights, live_set, weighed_types
from features.tuning import fitting

# State → colour; "elsewhere" is active in a version that is not live.
COLOUR_OF_STANDING = {
    "draft": "info",
    "proposed": "warning",
    "approved": "warning",
    "scheduled": "warning",
    "active": "success",
    "elsewhere": "default",
    "superseded": "default",
}
FITTING_BEGUN = (
    "Weights are being fitted to later purchases. The outcome is on this page in a few minutes; better weights are "
    "proposed as a new set, and nothing goes live by itself unless the settings say so."
)
# The message is all there is: no sweep would find the fit later.
FITTING_NOT_SENT = (
    "No weights are being fitted, because the broker takes no messages for the workers. Press “Fit weights now” again "
    "once /readyz says that it is in order."
)


class WeightInline(TabularInline):
    """One row for each event type, no more and no fewer; a draft gains rows for types that were registered later."""

    model = Weight
    form = WeightForm
    formset = WeightFormSet
    can_delete = False
    hide_title = True
    verbose_name_plural = "Weights and norms"

    def get_extra(self, request: HttpRequest, obj: WeightSet | None = None, **kwargs: Any) -> int:
        return len(new_rows(obj))

    def get_max_num(self, request: HttpRequest, obj: WeightSet | None = None, **kwargs: Any) -> int:
        return len(new_rows(obj)) + (obj.weights.count() if obj else 0)


def new_rows(weight_set: WeightSet | None) -> list[dict[str, Any]]:
    """Return the rows that a form adds: those of the active set for a new one, else those that the set lacks."""
    if weight_set is not None and weight_set.activated_at is not None:
        return []
    held = {row.event_type for row in weight_set.weights.all()} if weight_set is not None else set()
    active = live_set() if weight_set is None else None
    numbers = Weights(weight={}, norm={}, monetary_norm=1.0) if active is None else as_weights(active)
    return [
        {"event_type": name, "weight": numbers.weight_of(name), "norm": numbers.norm_of(name)}
        for name in weighed_types(numbers)
        if name not in held
    ]


@admin.register(WeightSet)
class WeightSetAdmin(OwnPages):
    form = WeightSetForm
    inlines = [WeightInline]
    list_display = ("name", "shown_state", "origin", "life")
    list_select_related = ("version",)
    list_filter = ("state", "origin")
    search_fields = ("name", "reason")
    ordering = ("-id",)
    warn_unsaved_form = True
    list_before_template = "features/weights/list.html"
    change_form_outer_before_template = "features/weights/life.html"
    change_form_after_template = "features/weights/timeline.html"

    class Media:
        css = {"all": ["features/weights.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[WeightSet]:
        sets: QuerySet[WeightSet] = super().get_queryset(request)
        return sets.prefetch_related("steps__by")

    @display(description="State", ordering="state", label=COLOUR_OF_STANDING)
    def shown_state(self, weight_set: WeightSet) -> tuple[str, str]:
        """Return the label's kind, and its text: the state with the version, and whether that is live."""
        is_elsewhere = weight_set.state == WeightSetState.ACTIVE and not weight_set.makes_live_scores
        return "elsewhere" if is_elsewhere else weight_set.state, weight_set.standing

    @display(description="Life")
    def life(self, weight_set: WeightSet) -> str:
        stages = life_stages(weight_set, steps=list(weight_set.steps.all()))
        return render_to_string("features/weights/stepper.html", {"stages": stages})

    # --- Who may do what ------------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: WeightSet | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.activated_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: WeightSet | None = None) -> bool:
        """Return True for a draft on its page only: the action of the list would include sets that are not drafts."""
        return super().has_delete_permission(request, obj) and obj is not None and obj.state == WeightSetState.DRAFT

    # --- The form -------------------------------------------------------------------------------------------------

    def get_formset_kwargs(self, request: HttpRequest, obj: WeightSet, inline: Any, prefix: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        return {**kwargs, "initial": new_rows(obj if obj.pk else None)}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        active = live_set()
        return {"monetary_norm": active.monetary_norm} if active is not None else {}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        newest = Fitting.objects.select_related("weight_set").first()
        context = {
            **(extra_context or {}),
            "newest_fitting": newest,
            "fitted_rows": fitted_rows(newest),
            "may_fit": may(request, "features.change_weightset"),
        }
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show or save the form; a set that somebody has activated meanwhile leads to a message, not an error page."""
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except ConflictError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(request.path)
        return answer

    def save_model(self, request: HttpRequest, obj: WeightSet, form: WeightSetForm, change: bool) -> None:
        """Make the set a draft again, then save its numbers, in the transaction of `changeform_view`."""
        if change:
            weight_set_steps.reopen(obj.pk, by=person(request), reason="Its numbers were changed.")
            obj.save(update_fields=form.changed_data)
            return
        obj.version = weight_set_steps.version_of_new_sets()
        obj.created_by = person(request)
        obj.save()

    def save_related(self, request: HttpRequest, form: WeightSetForm, formsets: list[Any], change: bool) -> None:
        super().save_related(request, form, formsets, change)
        action = WeightSetStep.Action.EDITED if change else WeightSetStep.Action.CREATED
        record(form.instance, action=action, by=person(request), reason=form.instance.reason)

    # --- The pages around it --------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path("compare/", self.compare, name="features_weightset_compare"),
            path("fit/", self.fit, name="features_weightset_fit"),
            path("<int:pk>/backtests/", self.backtests, name="features_weightset_backtests"),
            path("backtest/<int:pk>/", self.backtest, name="features_weightset_backtest"),
            path("progress/<int:run_id>/", self.progress, name="features_weightset_progress"),
            path("<int:pk>/step/<slug:name>/", self.step, name="features_weightset_step"),
            path("<int:pk>/studio/", self.studio, name="features_weightset_studio"),
            path("<int:pk>/studio/preview/", self.preview, name="features_weightset_preview"),
        ]
        wrapped = [path(str(page.pattern), self.admin_site.admin_view(page.callback), name=page.name) for page in pages]
        return [*wrapped, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: WeightSet | None = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            possible = possible_weight_set_steps(obj, request=request)
            steps = [
                {
                    "step": step,
                    "url": reverse("admin:features_weightset_step", args=[obj.pk, name]),
                    "is_main": name == main_step(obj, possible),
                }
                for name, step in possible
            ]
            timeline = list(obj.steps.select_related("by"))
            shadow_days = list(obj.shadow_days.all())
            context = {
                **context,
                "possible_steps": steps,
                **last_backtest(obj),
                "stages": life_stages(obj, steps=timeline),
                "timeline": timeline,
                "run": last_run(obj),
                "shadow_days": shadow_days,
                "shadow_chart": shadow_chart(shadow_days) if shadow_days else None,
            }
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def step(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        return weight_set_step_page(request, pk=pk, name=name, context=self.page_context(request))

    def compare(self, request: HttpRequest) -> HttpResponse:
        return weight_comparison_page(request, context=self.page_context(request))

    def studio(self, request: HttpRequest, pk: int) -> HttpResponse:
        return studio_page(request, pk=pk, context=self.page_context(request))

    def preview(self, request: HttpRequest, pk: int) -> HttpResponse:
        return studio_preview(request, pk=pk)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the timeline on the set's page: it has every step, where Django's log has the edited forms only."""
        weight_set = self.get_object(request, object_id)
        if weight_set is None or not self.has_view_permission(request, weight_set):
            answer: HttpResponse = super().history_view(request, object_id, extra_context)
            return answer
        page = reverse("admin:features_weightset_change", args=[weight_set.pk])
        return HttpResponseRedirect(f"{page}#fh-timeline")

    def fit(self, request: HttpRequest) -> HttpResponse:
        """Have weights fitted to purchases by a worker, as every Monday: POST."""
        if not may(request, "features.change_weightset"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not enqueue(fitting.FITTING_TASK):
            messages.error(request, FITTING_NOT_SENT)
        else:
            if (active := live_set()) is not None:
                self.log_change(request, active, "Had weights fitted to later purchases.")
            messages.success(request, FITTING_BEGUN)
        return HttpResponseRedirect(reverse("admin:features_weightset_changelist"))

    def backtests(self, request: HttpRequest, pk: int) -> HttpResponse:
        return start_page(request, pk=pk, context=self.page_context(request))

    def backtest(self, request: HttpRequest, pk: int) -> HttpResponse:
        return result_page(request, pk=pk, context=self.page_context(request))

    def progress(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Show the progress of a re-scoring. htmx polls for the part of the page that changes."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = get_object_or_404(Run.objects.select_related("weight_set"), pk=run_id, kind=Run.Kind.RESCORE)
        template = "progress_bar" if request.headers.get("HX-Request") else "progress"
        context = {**self.page_context(request), "title": f"Re-scoring under {run.weight_set}", "run": run}
        return TemplateResponse(request, f"features/weights/{template}.html", context)


def main_step(weight_set: WeightSet, possible: list[tuple[str, Step]]) -> str:
    """Return the step whose button is highlighted: the next of the set's life; none while a schedule takes it."""
    if weight_set.state == WeightSetState.SCHEDULED:
        return ""
    return next((name for name, step in possible if step.is_main), "")


def fitted_rows(newest: Fitting | None) -> list[dict[str, Any]]:
    """Return the fitted weights beside the active ones, by event type; nothing where none could be fitted."""
    live = live_set()
    if newest is None or newest.numbers is None or live is None:
        return []
    active = as_weights(live)
    fitted = newest.numbers["weight"]
    return [
        {"event_type": name, "active": active.weight_of(name), "fitted": fitted.get(name)}
        for name in weighed_types(active)
    ]


def last_run(weight_set: WeightSet) -> Run | None:
    return weight_set.runs.filter(kind=Run.Kind.RESCORE).order_by("-id").first()
