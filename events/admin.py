"""Events and dirty marks, read-only. Tombstones of erased customers, which can be removed."""

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter, RadioFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from events.models import DirtyCustomer, ErasedCustomer, Event
from events.registered_types import event_types
from events.tombstones import hashes_of, remove_tombstone
from featurehub.admin.forms import ReasonForm, reason_field
from featurehub.admin.large_tables import DayRangeFilter, ExactTextFilter, LargeTableAdmin
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import ConflictError


def link_to_customer(customer_id: str) -> SafeString:
    """Return a link to the customer's page, by the name of its URL: `events` does not import `features`."""
    address = reverse("admin:features_customer_change", args=[quote(customer_id)])
    return format_html('<a class="hub-link" href="{}">{}</a>', address, customer_id)


class EventTypeFilter(DropdownFilter):
    title = "event type"
    parameter_name = "event_type__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(event_types.get().labels.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        wanted = self.value()
        return queryset.filter(event_type=wanted) if wanted else queryset


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
        EventTypeFilter,
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
        """Return the order of one customer's index for a search, else the order of arrival."""
        return ("-timestamp", "-id") if request.GET.get("q") else self.ordering

    @display(description="Type", label=True)
    def kind(self, event: Event) -> str:
        return event_types.get().label(event.event_type)

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
    rows_called = "waiting customers"
    order_in_words = "the oldest first"
    empty_template = "events/admin/no_marks.html"

    @display(description="Customer")
    def customer(self, mark: DirtyCustomer) -> SafeString:
        return link_to_customer(mark.customer_id)

    @display(description="State", label={"waiting": "warning", "due later": "info"})
    def state(self, mark: DirtyCustomer) -> str:
        return "waiting" if mark.due_at <= timezone.now() else "due later"


class AllowAgainForm(ReasonForm):
    reason = reason_field(
        label="Why",
        max_length=1_000,
        help_text="It is kept in the log with your name. Not the customer's id: nothing here holds that.",
    )


@admin.register(ErasedCustomer)
class ErasedCustomerAdmin(LargeTableAdmin):
    """Tombstones. They hold the hash of a customer id, so the search hashes what was typed."""

    list_display = ("beginning", "erased_at")
    list_filter = (("erased_at", DayRangeFilter),)
    search_fields = ("customer_hash",)
    search_help_text = "The whole customer_id, which is hashed"
    ordering = ("-id",)
    order_in_words = "the latest first"
    empty_template = "events/admin/no_tombstones.html"
    list_after_template = "events/admin/after_tombstones.html"
    fields = readonly_fields = ("whole_hash", "erased_at")
    actions_detail = ("allow_again",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ErasedCustomer], search_term: str
    ) -> tuple[QuerySet[ErasedCustomer], bool]:
        term = search_term.strip()
        return queryset.filter(customer_hash__in=hashes_of(term)) if term else queryset, False

    def allowed_again(self) -> QuerySet[LogEntry]:
        """Return the log of the last removed tombstones, for the table under the list."""
        logged = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(ErasedCustomer))
        return logged.filter(action_flag=DELETION).select_related("user").order_by("-id")[:10]

    @display(description="Hash of the customer_id")
    def beginning(self, tombstone: ErasedCustomer) -> SafeString:
        return format_html("<code>{}…</code>", tombstone.hash_prefix)

    @display(description="HMAC of the customer_id")
    def whole_hash(self, tombstone: ErasedCustomer) -> SafeString:
        return format_html("<code>{}</code>", bytes(tombstone.customer_hash).hex())

    # --- Allowing an id again -----------------------------------------------------------------------------------------

    def has_allow_again_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "events.delete_erasedcustomer")

    @action(
        description="Allow this customer id again",
        icon="person_add",
        variant=ActionVariant.DANGER,
        permissions=["allow_again"],
    )
    def allow_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason on GET, remove the tombstone on POST."""
        tombstone = self.get_object(request, object_id)
        if tombstone is None:
            raise Http404(f"There is no tombstone {object_id}.")
        form = AllowAgainForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                was_us = self.remove_and_log(request, tombstone, reason=form.why)
            except ConflictError as error:
                form.add_error("reason", f"{error} Allow the id again after that.")
            else:
                return self.answer_allowed(request, tombstone, was_us=was_us)
        context = {"title": "Allow this customer id again?", "opts": self.opts, "tombstone": tombstone, "form": form}
        context = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "events/admin/allow_again.html", context)

    def answer_allowed(self, request: HttpRequest, tombstone: ErasedCustomer, *, was_us: bool) -> HttpResponse:
        """Redirect to the list, with a message about the outcome."""
        named = f"customer id with hash {tombstone.hash_prefix}…"
        if was_us:
            messages.success(request, f"The {named} is allowed again: events and values of it are taken in.")
        else:
            messages.info(request, f"Somebody else was faster: the {named} is allowed again already.")
        return HttpResponseRedirect(reverse("admin:events_erasedcustomer_changelist"))

    @transaction.atomic
    def remove_and_log(self, request: HttpRequest, tombstone: ErasedCustomer, *, reason: str) -> bool:
        """Remove the tombstone and log who did it and why. Return False where somebody else has removed it already.

        Raises ConflictError as `remove_tombstone` does.
        """
        if not remove_tombstone(tombstone.pk):
            return False
        LogEntry.objects.create(
            user=person(request),
            content_type=ContentType.objects.get_for_model(ErasedCustomer),
            object_id=str(tombstone.pk),
            object_repr=str(tombstone),
            action_flag=DELETION,
            change_message=reason,
        )
        return True
