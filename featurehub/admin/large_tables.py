"""Admin classes for what is looked at but not edited here, and for tables too large to be counted."""

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

# A filter that matches next to nothing reads the whole table to find that out: not on a page that somebody waits for.
SECONDS_PER_LIST = 3
TOO_SLOW = (
    f"This list took longer than {SECONDS_PER_LIST} seconds and was given up. Search for a customer, or narrow the "
    "time range: both are found by an index."
)


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows that other parts of the product write."""

    actions = None
    # What an empty table says in place of "no results"; a template.
    empty_template: str | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class BoundedChangeList(ChangeList):
    """A page of a list, or a word about why there is none after SECONDS_PER_LIST."""

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
    """Never counts the table, never sorts by what has no index, and searches for whole ids only."""

    # Searched for what was typed, exactly; each needs an index that begins with it.
    search_fields: tuple[str, ...] = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50
    list_filter_submit = True
    list_after_template = "featurehub/size_of_table.html"
    order_in_words: str

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
        """Of the whole table: for the line under the list."""
        return estimate_rows(self.model._default_manager.all())


class DayRangeFilter(RangeDateFilter):
    """From the beginning of one day to the end of another, UTC; what is no date is left out."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = self.day("from"), self.day("to")
        if first is not None:
            queryset = queryset.filter(**{f"{self.field_path}__gte": datetime.combine(first, time.min, tzinfo=UTC)})
        if last is not None:
            queryset = queryset.filter(**{f"{self.field_path}__lte": datetime.combine(last, time.max, tzinfo=UTC)})
        return queryset

    def day(self, which: str) -> date | None:
        """The day that was typed, or None."""
        try:
            return parse_date(str(self.used_parameters.get(f"{self.parameter_name}_{which}")))
        except ValueError:
            return None


class ExactTextFilter(TextFilter):
    """Rows whose `parameter_name` is exactly what was typed."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = self.value()
        return queryset.filter(**{self.parameter_name: text}) if text else queryset
