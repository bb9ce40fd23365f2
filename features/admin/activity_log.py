"""The activity log in the admin: who did what, when and why, filtered, searched and exported."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from featurehub.admin.large_tables import DayRangeFilter, ReadOnlyAdmin
from featurehub.admin.permissions import may
from featurehub.lib.csv_export import csv_lines
from features.models import ActivityLogEntry

NOBODY, BY_ITSELF = "nobody", "FeatureHub, a command or the API"
MAY_SEE_LOGINS = "axes.view_accessattempt"
CSV_HEAD = ("when (UTC)", "who", "kind", "what", "object", "why")
ENTRIES_PER_FETCH = 1_000


class PersonFilter(DropdownFilter):
    title = "who"
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = User.objects.filter(is_staff=True).order_by("username").values_list("pk", "username")
        return [(NOBODY, BY_ITSELF), *((str(pk), name) for pk, name in people)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActivityLogEntry]) -> QuerySet[ActivityLogEntry]:
        chosen = self.value()
        if chosen == NOBODY:
            return queryset.filter(person__isnull=True)
        return queryset.filter(person_id=int(chosen)) if chosen and chosen.isdecimal() else queryset


@admin.register(ActivityLogEntry)
class ActivityLogAdmin(ReadOnlyAdmin):
    list_display = ("when", "who", "kind", "what", "link", "why")
    list_display_links = None
    list_filter = (PersonFilter, ("kind", ChoicesDropdownFilter), ("at", DayRangeFilter))
    list_filter_submit = True
    list_select_related = ("person",)
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    search_fields = ("subject", "why", "message", "action", "person__username")
    search_help_text = "A part of the object's name, of the reason or of a person's name"
    sortable_by = ()
    list_before_template = "features/activity_log/export.html"
    empty_template = "features/activity_log/empty.html"
    fields = readonly_fields = ("when", "who", "kind", "what", "link", "why")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ActivityLogEntry]:
        """Return the entries, those about failed logins only for those who may see failed logins."""
        rows: QuerySet[ActivityLogEntry] = super().get_queryset(request)
        is_open = may(request, MAY_SEE_LOGINS)
        return rows if is_open else rows.exclude(kind=ActivityLogEntry.Kind.LOGINS)

    def get_urls(self) -> list[URLPattern]:
        address = path("export/", self.admin_site.admin_view(self.export), name="features_activitylogentry_export")
        return [address, *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Return all entries of the list as it is filtered and searched, as CSV, a line at a time."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request).select_related("person")
        lines = csv_lines(CSV_HEAD, cells_of(rows))
        headers = {"Content-Disposition": 'attachment; filename="activity-log.csv"'}
        return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)

    @display(description="When (UTC)")
    def when(self, entry: ActivityLogEntry) -> str:
        return text_of_moment(entry)

    @display(description="Who")
    def who(self, entry: ActivityLogEntry) -> str:
        return name_of_person(entry)

    @display(description="What")
    def what(self, entry: ActivityLogEntry) -> str:
        return entry.what

    @display(description="Object")
    def link(self, entry: ActivityLogEntry) -> str | SafeString:
        address = page_of_object(entry)
        return format_html('<a class="hub-link" href="{}">{}</a>', address, entry.subject) if address else entry.subject


def cells_of(rows: QuerySet[ActivityLogEntry]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each entry; PostgreSQL is asked for ENTRIES_PER_FETCH at a time."""
    for entry in rows.iterator(chunk_size=ENTRIES_PER_FETCH):
        yield (
            text_of_moment(entry),
            name_of_person(entry),
            entry.get_kind_display(),
            entry.what,
            entry.subject,
            entry.why,
        )


def text_of_moment(entry: ActivityLogEntry) -> str:
    return f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def name_of_person(entry: ActivityLogEntry) -> str:
    return BY_ITSELF if entry.person is None else entry.person.get_username()


def page_of_object(entry: ActivityLogEntry) -> str:
    """Return the address of the object's page; empty where there is none."""
    if not entry.object_id:
        return ""
    try:
        return reverse(f"admin:{entry.app_label}_{entry.model_name}_change", args=[entry.object_id])
    except NoReverseMatch:
        return ""
