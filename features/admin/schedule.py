"""django-celery-beat's tables in unfold's style."""

from typing import Any

from django.contrib import admin
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
    list_display = ("name", "enabled", "scheduler", "queue", "last_run_at")
    list_filter = ("enabled",)
    date_hierarchy = None
    show_facets = admin.ShowFacets.NEVER


@admin.register(ClockedSchedule)
class StyledClockedScheduleAdmin(ClockedScheduleAdmin, ModelAdmin):
    pass


@admin.register(CrontabSchedule)
class StyledCrontabScheduleAdmin(CrontabScheduleAdmin, ModelAdmin):
    pass


@admin.register(IntervalSchedule, SolarSchedule)
class StyledScheduleAdmin(ModelAdmin):
    pass
