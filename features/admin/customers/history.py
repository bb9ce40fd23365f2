"""The feature history, read-only: computations and clients append to it, and nothing changes it."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from featurehub.admin.large_tables import DayRangeFilter, LargeTableAdmin
from features.models import CustomerFeature, FeatureVersion

NAMES_SHOWN = 4


class VersionFilter(DropdownFilter):
    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        numbers = FeatureVersion.objects.order_by("number").values_list("number", flat=True).distinct()
        return [(number, number) for number in numbers]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CustomerFeature]) -> QuerySet[CustomerFeature]:
        number = self.value()
        return queryset.filter(version=number) if number else queryset


@admin.register(CustomerFeature)
class CustomerFeatureAdmin(LargeTableAdmin):
    list_display = ("timestamp", "customer", "kind", "values", "recorded_at")
    list_display_links = ("timestamp",)
    list_filter = (("feature_type", ChoicesDropdownFilter), VersionFilter, ("timestamp", DayRangeFilter))
    search_fields = ("customer_id",)
    search_help_text = "The whole customer_id"
    ordering = ("-id",)
    rows_called = "rows"
    order_in_words = "the latest to be recorded first"
    empty_template = "features/admin/no_history.html"
    fields = readonly_fields = ("customer", "kind", "timestamp", "recorded_at", "features_as_json", "metadata_as_json")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the order of the index: by timestamp for one customer, by id for all rows."""
        return ("-timestamp", "-id") if request.GET.get("q") else self.ordering

    @display(description="Customer")
    def customer(self, row: CustomerFeature) -> SafeString:
        address = reverse("admin:features_customer_change", args=[quote(row.customer_id)])
        return format_html('<a class="hub-link" href="{}">{}</a>', address, row.customer_id)

    @display(description="Version", label=True)
    def kind(self, row: CustomerFeature) -> str:
        return f"{row.feature_type}:{row.version}"

    @display(description="Values")
    def values(self, row: CustomerFeature) -> str:
        """Return the first few values that are not zero."""
        shown = [f"{name} {value:.3g}" for name, value in row.features.items() if value][:NAMES_SHOWN]
        rest = len(row.features) - len(shown)
        return ", ".join(shown) + (f" and {rest} more" if rest else "") if shown else "all zero"

    @display(description="Features")
    def features_as_json(self, row: CustomerFeature) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(row.features, indent=2))

    @display(description="Metadata")
    def metadata_as_json(self, row: CustomerFeature) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(row.metadata, indent=2, ensure_ascii=False))
