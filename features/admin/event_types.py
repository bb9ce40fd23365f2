"""Event types in the admin: registered, described, archived and restored; deleted as long as nothing uses them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from events.models import EventType
from events.registered_types import event_types
from events.registration import archive_event_type, restore_event_type
from featurehub.admin.forms import ReasonForm, reason_field
from featurehub.admin.own_pages import OwnPages
from featurehub.admin.permissions import may
from featurehub.lib.errors import FeatureHubError
from features.lifecycle.event_types import delete_unused_event_type


class EventTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = EventType
        fields = ("name", "label", "description")
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}


class ArchiveForm(ReasonForm):
    """The reason, and what the page was about to do when it was loaded."""

    reason = reason_field(help_text="It is kept in the log with your name.")
    to = forms.ChoiceField(choices=[("archived", ""), ("accepted", "")], widget=forms.HiddenInput)


@admin.register(EventType)
class EventTypeAdmin(OwnPages):
    form = EventTypeForm
    list_display = ("name", "label", "state", "description", "used_at")
    search_fields = ("name", "label", "description")
    ordering = ("id",)
    actions = None
    actions_detail = ("archive",)

    @display(description="State", label={"takes events": "success", "archived": "default"})
    def state(self, row: EventType) -> str:
        return "takes events" if row.archived_at is None else "archived"

    def get_fieldsets(self, request: HttpRequest, obj: EventType | None = None) -> Any:
        more = () if obj is None else ("state", "created_at", "used_at")
        return [(None, {"fields": ("name", "label", "description", *more)})]

    def get_readonly_fields(self, request: HttpRequest, obj: EventType | None = None) -> tuple[str, ...]:
        return () if obj is None else ("name", "state", "created_at", "used_at")

    def save_model(self, request: HttpRequest, obj: EventType, form: EventTypeForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(event_types.forget)

    # --- Deletion -------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: EventType | None = None) -> bool:
        """Return False for a type that has events, or that is there from the start."""
        stays = obj is not None and (obj.used_at is not None or obj.is_there_from_the_start)
        return not stays and bool(super().has_delete_permission(request, obj))

    def delete_model(self, request: HttpRequest, obj: EventType) -> None:
        delete_unused_event_type(obj.name)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, then delete; a refusal by a service becomes a message, not an error page."""
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except FeatureHubError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(reverse("admin:events_eventtype_change", args=[object_id]))
        return answer

    # --- Archive and restore --------------------------------------------------------------------------------------

    def has_archive_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return may(request, "events.change_eventtype")

    @action(description="Archive or restore", icon="archive", permissions=["archive"])
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason on GET; on POST archive a type, or restore an archived one."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no event type {object_id}.")
        if not self.has_archive_permission(request):
            raise PermissionDenied
        to = "archived" if row.archived_at is None else "accepted"
        form = ArchiveForm(request.POST if request.method == "POST" else None, initial={"to": to})
        if form.is_valid():
            try:
                self.archive_and_log(request, row, form=form)
            except FeatureHubError as error:
                messages.error(request, error.detail)
            return HttpResponseRedirect(reverse("admin:events_eventtype_change", args=[row.pk]))
        title = f"{'Archive' if to == 'archived' else 'Restore'} {row.label}?"
        context = {**self.page_context(request), "title": title, "event_type": row, "to": to, "form": form}
        return TemplateResponse(request, "features/event_types/archive.html", context)

    @transaction.atomic
    def archive_and_log(self, request: HttpRequest, row: EventType, *, form: ArchiveForm) -> None:
        """Take the step that the page showed, and log it. Raise ConflictError where somebody was faster."""
        if form.cleaned_data["to"] == "archived":
            archive_event_type(row.name)
            done, note = "Archived", "takes no new events: at once here, and within some seconds everywhere."
        else:
            restore_event_type(row.name)
            done, note = "Restored", "takes events again: at once here, and within some seconds everywhere."
        self.log_change(request, row, f"{done}. {form.why}")
        messages.success(request, f"{row.label} {note}")
