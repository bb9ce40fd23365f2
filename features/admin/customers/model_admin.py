"""The list of customers, searched by the beginning of an id, and a page for each."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import display

from featurehub.admin.large_tables import BoundedChangeList, LargeTableAdmin
from featurehub.lib.humanize import ago
from features.admin.customers.lists import CustomerListPages
from features.admin.customers.page import customer_context
from features.models import Customer, FeatureType, WeightSet
from features.monitoring import overview
from features.serving.explanation import SCORE
from features.serving.feature_store import get_feature_values


class ActivityFilter(RadioFilter):
    title = "activity"
    parameter_name = "activity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", f"Events in the last {settings.WINDOW_DAYS} days"),
            ("quiet", f"None in the last {settings.WINDOW_DAYS} days"),
            ("behind", "Active, but dropped by Redis"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Customer]) -> QuerySet[Customer]:
        match self.value():
            case "active":
                return queryset.filter(recompute_at__isnull=False)
            case "quiet":
                return queryset.filter(recompute_at__isnull=True)
            case "behind":
                return overview.behind(queryset.filter(recompute_at__isnull=False), now=timezone.now())
        return queryset


class ScoredChangeList(BoundedChangeList):
    """A page of customers, each with its current score and the weight set of that score, from one read."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page: Sequence[Customer] = self.result_list
        values = get_feature_values([row.pk for row in page], names=[SCORE], with_metadata=True) if page else []
        used = [value.metadata.get(FeatureType.BEHAVIORAL, {}).get("weight_set") for value in values]
        sets = WeightSet.objects.in_bulk({pk for pk in used if pk is not None})
        for customer, value, weight_set in zip(page, values, used, strict=True):
            customer.score = None if value.missing else value.features[SCORE]  # type: ignore[attr-defined]
            customer.weights = sets.get(weight_set)  # type: ignore[attr-defined]


@admin.register(Customer)
class CustomerAdmin(CustomerListPages, LargeTableAdmin):
    list_display = ("customer_id", "shown_score", "activity", "computed", "weights", "first_seen_at")
    list_filter = (ActivityFilter,)
    search_fields = ("customer_id__icontains",)
    search_help_text = "Any part of a customer_id, in capitals or not"
    ordering = ("customer_id",)
    order_in_words = "by customer_id"
    empty_template = "features/admin/no_customers.html"
    list_before_template = "features/customers/to_lists.html"

    class Media:
        css = {"all": ["features/weights.css", "features/versions.css", "features/lists.css"]}
        js = ("features/lists.js",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedChangeList]:
        return ScoredChangeList

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of one customer, which is read-only."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        customer = self.find(request, unquote(object_id))
        if customer is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, unquote(object_id))
            return answer
        context = {
            **self.admin_site.each_context(request),
            "title": customer.pk,
            "original": customer,  # for the breadcrumbs
            "opts": self.opts,
            **customer_context(customer, request.GET, now=timezone.now()),
        }
        return TemplateResponse(request, "features/admin/customer.html", context)

    def find(self, request: HttpRequest, customer_id: str) -> Customer | None:
        try:
            customer: Customer | None = self.get_object(request, customer_id)
        except DataError:  # PostgreSQL refuses a NUL
            return None
        return customer

    @display(description="Engagement score")
    def shown_score(self, customer: Customer) -> str:
        score: float | None = customer.score  # type: ignore[attr-defined]
        return "–" if score is None else f"{score:.3f}"

    @display(description="Activity", label={"active": "success", "quiet": "default"})
    def activity(self, customer: Customer) -> str:
        return "quiet" if customer.recompute_at is None else "active"

    @display(description="Computed")
    def computed(self, customer: Customer) -> str:
        return "not yet" if customer.computed_at is None else ago(customer.computed_at, timezone.now())

    @display(description="Weight set")
    def weights(self, customer: Customer) -> str:
        """Return the live version's weight set; `customer.weight_set` is the last activated of all versions."""
        return str(customer.weights or "–")  # type: ignore[attr-defined]
