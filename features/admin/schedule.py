"""django-celery-beat's tables in unfold's style."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat.admin import (
    ClockedScheduleAdmin,
    CrontabScheduleAdmin,
    PeriodicTaskAdmin,
    PeriodicTaskForm,
    TaskSelectWidget,
)
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class StyledTaskSelect(UnfoldAdminSelectWidget, TaskSelectWidget):
    pass


class StyledPeriodicTaskForm(PeriodicTaskForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The form of a user who may only view has no fields.
        if "task" in self.fields:
            self.fields["task"].widget = UnfoldAdminTextInputWidget()
            self.fields["regtask"].widget = StyledTaskSelect()


@admin.register(PeriodicTask)
class StyledPeriodicTaskAdmin(PeriodicTaskAdmin, ModelAdmin):
    form = StyledPeriodicTaskForm
    change_form_template = None  # django-celery-beat's has an inline script, which the policy does not run
    list_display = ("name", "enabled", "scheduler", "queue", "last_run_at")
    list_filter = ("enabled",)
    date_hierarchy = None
    show_facets = admin.ShowFacets.NEVER

    # The actions of django-celery-beat ask for no permission and are not in the log. They write twice: tasks, then that
    # they have changed, without which beat would not read them again.

    @admin.action(permissions=["change"], description="Enable the selected tasks")
    @transaction.atomic
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self.log_all(request, queryset, "Enabled.")
        super().enable_tasks(request, queryset)

    @admin.action(permissions=["change"], description="Disable the selected tasks")
    @transaction.atomic
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self.log_all(request, queryset, "Disabled.")
        super().disable_tasks(request, queryset)

    @admin.action(
        permissions=["change"], description="Enable the disabled and disable the enabled of the selected tasks"
    )
    @transaction.atomic
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self.log_all(request, queryset, "Enabled or disabled.")
        super().toggle_tasks(request, queryset)

    @admin.action(permissions=["change"], description="Run the selected tasks now")
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self.log_all(request, queryset, "Run by hand.")
        super().run_tasks(request, queryset)

    def log_all(self, request: HttpRequest, tasks: QuerySet[PeriodicTask], message: str) -> None:
        for task in tasks:
            self.log_change(request, task, message)


@admin.register(ClockedSchedule)
class StyledClockedScheduleAdmin(ClockedScheduleAdmin, ModelAdmin):
    pass


@admin.register(CrontabSchedule)
class StyledCrontabScheduleAdmin(CrontabScheduleAdmin, ModelAdmin):
    pass


@admin.register(IntervalSchedule, SolarSchedule)
class StyledScheduleAdmin(ModelAdmin):
    pass
