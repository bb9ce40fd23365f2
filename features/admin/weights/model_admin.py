"""Weight sets in the admin: the numbers in one form, and the pages of the set's steps around it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import TabularInline
from unfold.decorators import display

from featurehub.admin.own_pages import OwnPages
from featurehub.admin.permissions import person
from featurehub.lib.errors import ConflictError
from features.admin.weights.backtests import result_page, start_page
from features.admin.weights.charts import shadow_chart
from features.admin.weights.comparison import weight_comparison_page
from features.admin.weights.forms import WeightForm, WeightFormSet, WeightSetForm
from features.admin.weights.life import life_stages
from features.admin.weights.steps import possible_weight_set_steps, weight_set_step_page
from features.admin.weights.studio import studio_page, studio_preview
from features.lifecycle import weight_set_steps
from features.lifecycle.steps import WeightSetState, record
from features.models import FeatureType, Fitting, Run, Weight, WeightSet, WeightSetStep
from features.registry.snapshot import registry_snapshot
from features.registry.weight_sets import active_set

WEIGHT_SET_STATE_COLOURS = {
    "Draft": "info",
    "Proposed": "warning",
    "Approved": "warning",
    "Scheduled": "warning",
    "Active": "success",
    "Superseded": "default",
}


class WeightInline(TabularInline):
    """One row for each event type, no more and no fewer."""

    model = Weight
    form = WeightForm
    formset = WeightFormSet
    can_delete = False
    hide_title = True
    verbose_name_plural = "Weights and norms"

    def get_extra(self, request: HttpRequest, obj: WeightSet | None = None, **kwargs: Any) -> int:
        return 0 if obj else len(active_numbers())

    def get_max_num(self, request: HttpRequest, obj: WeightSet | None = None, **kwargs: Any) -> int:
        return len(active_numbers())


def active_numbers() -> list[dict[str, Any]]:
    """Return the active set's rows, which a new set starts from."""
    rows = active_set(registry_snapshot.get().live[FeatureType.BEHAVIORAL]).weights.all()
    return [{"event_type": row.event_type, "weight": row.weight, "norm": row.norm} for row in rows]


@admin.register(WeightSet)
class WeightSetAdmin(OwnPages):
    form = WeightSetForm
    inlines = [WeightInline]
    list_display = ("name", "version", "shown_state", "origin", "life")
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

    @display(description="State", ordering="state", label=WEIGHT_SET_STATE_COLOURS)
    def shown_state(self, weight_set: WeightSet) -> str:
        return weight_set.get_state_display()

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
        return kwargs if obj.pk else {**kwargs, "initial": active_numbers()}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        active = active_set(registry_snapshot.get().live[FeatureType.BEHAVIORAL])
        return {"monetary_norm": active.monetary_norm}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {**(extra_context or {}), "newest_fitting": Fitting.objects.first()}
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
        obj.version_id = active_set(registry_snapshot.get().live[FeatureType.BEHAVIORAL]).version_id
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
            steps = [
                {"step": step, "url": reverse("admin:features_weightset_step", args=[obj.pk, name])}
                for name, step in possible_weight_set_steps(obj, request=request)
            ]
            timeline = list(obj.steps.select_related("by"))
            shadow_days = list(obj.shadow_days.all())
            context = {
                **context,
                "possible_steps": steps,
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


def last_run(weight_set: WeightSet) -> Run | None:
    return weight_set.runs.filter(kind=Run.Kind.RESCORE).order_by("-id").first()
