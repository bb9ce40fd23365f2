"""Admin classes for tables that are read-only in the admin, and for tables too large to be counted."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter, TextFilter
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from featurehub.lib.row_estimate import RowCount, estimate_rows

# A filter that matches few rows can read the whole table, which is too slow for a page.
SECONDS_PER_LIST = 3
TOO_SLOW = (
    f"This list took longer than {SECONDS_PER_LIST} seconds and was given up. Search for a customer, or narrow the "
    "time range: both are found by an index."
)


class ReadOnlyAdmin(ModelAdmin):
    """An admin that shows rows and does not edit them."""

    actions = None
    # A template that an empty table shows in place of "no results".
    empty_template: str | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class BoundedChangeList(ChangeList):
    """A page of a list, or after SECONDS_PER_LIST a message that says why there is none."""

    result_list: Sequence[Any]

    def get_results(self, request: HttpRequest) -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"set local statement_timeout = '{SECONDS_PER_LIST}s'")
                super().get_results(request)
                self.result_list = list(self.result_list)
        except DataError as error:  # a NUL in a filter, a page number beyond bigint
            raise IncorrectLookupParameters(error) from error
        except OperationalError:
            self.result_list = []
            messages.warning(request, TOO_SLOW)


class LargeTableAdmin(ReadOnlyAdmin):
    """An admin that never counts the table, never sorts without an index, and searches for whole ids only."""

    # Compared for equality with the search term; each needs an index that begins with it.
    search_fields: tuple[str, ...] = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50
    list_filter_submit = True
    list_after_template = "featurehub/size_of_table.html"
    order_in_words: str
    # What the line under the list calls the rows, where that is not the name of the list.
    rows_called = ""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedChangeList]:
        return BoundedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q()
        for field in self.search_fields:
            wanted |= Q(**{field: term})
        return queryset.filter(wanted), False

    def size(self) -> RowCount:
        """Return the estimated size of the whole table, for the line under the list."""
        return estimate_rows(self.model._default_manager.all())


class DayRangeFilter(RangeDateFilter):
    """A filter from the beginning of one day to the end of another, UTC; it ignores what is no date."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = self.day("from"), self.day("to")
        if first is not None:
            queryset = queryset.filter(**{f"{self.field_path}__gte": datetime.combine(first, time.min, tzinfo=UTC)})
        if last is not None:
            queryset = queryset.filter(**{f"{self.field_path}__lte": datetime.combine(last, time.max, tzinfo=UTC)})
        return queryset

    def day(self, which: str) -> date | None:
        """Return the day that was typed, or None."""
        try:
            return parse_date(str(self.used_parameters.get(f"{self.parameter_name}_{which}")))
        except ValueError:
            return None


class ExactTextFilter(TextFilter):
    """A filter for rows whose `parameter_name` equals what was typed."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = self.value()
        return queryset.filter(**{self.parameter_name: text}) if text else queryset
