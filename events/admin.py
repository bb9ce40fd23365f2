"""Events and marks, to look at: both are written by ingestion only. Tombstones, to be found and taken away."""

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from events.models import DirtyCustomer, ErasedCustomer, Event
from events.tombstones import hash_of, remove_tombstone
from featurehub.admin.large_tables import DayRangeFilter, ExactTextFilter, LargeTableAdmin
from featurehub.lib.errors import ConflictError


def link_to_customer(customer_id: str) -> SafeString:
    """The customer's page. By name, because `events` knows nothing of `features`."""
    address = reverse("admin:features_customer_change", args=[quote(customer_id)])
    return format_html('<a class="hub-link" href="{}">{}</a>', address, customer_id)


class CategoryFilter(ExactTextFilter):
    title = "category (exactly)"
    parameter_name = "category"


class SessionFilter(RadioFilter):
    title = "session"
    parameter_name = "session"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("with", "In a session"), ("without", "Outside of any session")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        wanted = {"with": False, "without": True}.get(self.value())
        return queryset if wanted is None else queryset.filter(session_id__isnull=wanted)


@admin.register(Event)
class EventAdmin(LargeTableAdmin):
    list_display = ("timestamp", "kind", "customer", "amount", "category", "session_id", "received_at")
    list_display_links = ("timestamp",)
    list_filter = (
        ("event_type", ChoicesDropdownFilter),
        ("timestamp", DayRangeFilter),
        CategoryFilter,
        SessionFilter,
    )
    search_fields = ("customer_id", "event_id")
    search_help_text = "The whole customer_id or event_id"
    ordering = ("-id",)
    order_in_words = "the latest to arrive first"
    empty_template = "events/admin/no_events.html"
    fields = readonly_fields = (
        "event_id",
        "customer",
        "kind",
        "timestamp",
        "received_at",
        "session_id",
        "amount",
        "category",
        "metadata_as_json",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events: QuerySet[Event] = super().get_queryset(request)
        return events.defer("metadata")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """One customer's events in the order of their index; all of them in the order they came."""
        return ("-timestamp", "-id") if request.GET.get("q") else self.ordering

    @display(description="Type", label=True)
    def kind(self, event: Event) -> str:
        return event.get_event_type_display()

    @display(description="Customer")
    def customer(self, event: Event) -> SafeString:
        return link_to_customer(event.customer_id)

    @display(description="Metadata")
    def metadata_as_json(self, event: Event) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(event.metadata, indent=2, ensure_ascii=False))


class DueFilter(RadioFilter):
    title = "due"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "Waiting for a worker"), ("later", "Due later")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DirtyCustomer]) -> QuerySet[DirtyCustomer]:
        lookup = {"now": "due_at__lte", "later": "due_at__gt"}.get(self.value())
        return queryset if lookup is None else queryset.filter(**{lookup: timezone.now()})


@admin.register(DirtyCustomer)
class DirtyCustomerAdmin(LargeTableAdmin):
    list_display = ("customer", "due_at", "state")
    list_display_links = None
    list_filter = (DueFilter,)
    ordering = ("due_at",)
    order_in_words = "the oldest first"
    empty_template = "events/admin/no_marks.html"

    @display(description="Customer")
    def customer(self, mark: DirtyCustomer) -> SafeString:
        return link_to_customer(mark.customer_id)

    @display(description="State", label={"waiting": "warning", "due later": "info"})
    def state(self, mark: DirtyCustomer) -> str:
        return "waiting" if mark.due_at <= timezone.now() else "due later"


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        max_length=1_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It is kept in the log with your name. Not the customer's id: nothing here holds that.",
    )


@admin.register(ErasedCustomer)
class ErasedCustomerAdmin(LargeTableAdmin):
    """Tombstones. They hold a hash, so one is found by hashing the id that somebody asks about."""

    list_display = ("beginning", "erased_at")
    list_filter = (("erased_at", DayRangeFilter),)
    search_fields = ("customer_hash",)
    search_help_text = "The whole customer_id, which is hashed"
    ordering = ("-id",)
    order_in_words = "the latest first"
    empty_template = "events/admin/no_tombstones.html"
    list_after_template = "events/admin/after_tombstones.html"
    fields = readonly_fields = ("whole_hash", "erased_at")
    actions_detail = ("take_away",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ErasedCustomer], search_term: str
    ) -> tuple[QuerySet[ErasedCustomer], bool]:
        term = search_term.strip()
        return queryset.filter(customer_hash=hash_of(term)) if term else queryset, False

    def taken_away(self) -> QuerySet[LogEntry]:
        """The last tombstones that were taken away, by whom and why: for the lines under the list."""
        logged = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(ErasedCustomer))
        return logged.filter(action_flag=DELETION).select_related("user").order_by("-id")[:10]

    @display(description="Hash of the customer_id")
    def beginning(self, tombstone: ErasedCustomer) -> SafeString:
        return format_html("<code>{}…</code>", tombstone.hash_prefix)

    @display(description="SHA-256 of the customer_id")
    def whole_hash(self, tombstone: ErasedCustomer) -> SafeString:
        return format_html("<code>{}</code>", bytes(tombstone.customer_hash).hex())

    # --- Taking one away ----------------------------------------------------------------------------------------------

    def has_take_away_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("events.delete_erasedcustomer")

    @action(
        description="Take the tombstone away",
        icon="person_add",
        variant=ActionVariant.DANGER,
        permissions=["take_away"],
    )
    def take_away(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The page behind the button: asks why, and takes it away on the answer."""
        tombstone = self.get_object(request, object_id)
        if tombstone is None:
            raise Http404(f"There is no tombstone {object_id}.")
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                was_us = self.take_away_and_log(request, tombstone, reason=form.cleaned_data["reason"])
            except ConflictError as error:
                form.add_error("reason", f"{error} Take the tombstone away after that.")
            else:
                return self.answer_taken_away(request, tombstone, was_us=was_us)
        context = {"title": "Take the tombstone away?", "opts": self.opts, "tombstone": tombstone, "form": form}
        context = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "events/admin/take_tombstone_away.html", context)

    def answer_taken_away(self, request: HttpRequest, tombstone: ErasedCustomer, *, was_us: bool) -> HttpResponse:
        """Back to the list, with a word of what happened."""
        named = f"{tombstone.hash_prefix}…"
        if was_us:
            messages.success(request, f"The tombstone {named} is gone: this customer is taken in again.")
        else:
            messages.info(request, f"Somebody else was faster: the tombstone {named} is gone already.")
        return HttpResponseRedirect(reverse("admin:events_erasedcustomer_changelist"))

    @transaction.atomic
    def take_away_and_log(self, request: HttpRequest, tombstone: ErasedCustomer, *, reason: str) -> bool:
        """Whether it was this call that took it away; then the log says who did it and why. Raises as `take_away`."""
        if not remove_tombstone(tombstone.pk):
            return False
        LogEntry.objects.create(
            user=cast(User, request.user),  # who has the permission is somebody
            content_type=ContentType.objects.get_for_model(ErasedCustomer),
            object_id=str(tombstone.pk),
            object_repr=str(tombstone),
            action_flag=DELETION,
            change_message=reason,
        )
        return True
