"""Events and marks, to look at: both are written by ingestion only."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from events.models import DirtyCustomer, Event
from featurehub.browsing import DayRangeFilter, ExactTextFilter, LargeTableAdmin


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
