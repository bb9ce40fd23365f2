"""The endpoint of customer lists: /api/v1/customers/."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.utils.urls import replace_query_param

from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView
from features.api import examples
from features.api.answers import CustomerPage
from features.offline.pages import MOST_ROWS_PER_PAGE, ROWS_PER_PAGE, parse_limit
from features.registry.list_layout import NO_FEATURES
from features.serving.customer_lists import BY_CUSTOMER_ID, CONDITIONS_PATTERN, CustomerList, parse_conditions
from features.serving.list_pages import ListedCustomer, list_at, moment_of_list, read_list, share_filled
from features.serving.usage import note_read

ORDER = OpenApiParameter(
    "order",
    {"type": "string", "pattern": "^-?[a-z][a-z0-9_]*$"},
    description="A listed feature, `days_since_purchase`, `days_since_seen` or `customer_id`; `-` sorts in descending "
    "order. Customers without a value come last.",
    examples=[OpenApiExample("the most engaged first", "-engagement_score")],
)
WHERE = OpenApiParameter(
    "where",
    {"type": "array", "items": {"type": "string", "pattern": f"^{CONDITIONS_PATTERN}$"}},
    description="Conditions, separated by commas, on any live feature, `days_since_purchase` and `days_since_seen`: "
    "`name>=number` (or `<=`, `>`, `<`, `=`), `name` (has a value), `!name` (has none).",
    examples=[OpenApiExample("above 0.7, bought within a week", ["engagement_score>=0.7,days_since_purchase<=7"])],
)
LIMIT_OF_LIST = OpenApiParameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS_PER_PAGE, "default": ROWS_PER_PAGE},
    description="The most customers of a page.",
)  # fmt: skip
CURSOR_OF_LIST = OpenApiParameter(
    "cursor", {"type": "string"}, description="As `next` has it, with the same `order` and `where`."
)


class CustomerListView(ApiView):
    """Customers, filtered by live features and sorted by a listed one, page by page at one moment."""

    scopes = {"GET": Scope.READ}
    parameters = {"GET": ("order", "where", "limit", "cursor")}
    repeated = ("where",)

    @extend_schema(
        operation_id="list_customers",
        summary="List customers by their values",
        tags=["Customer lists"],
        parameters=[ORDER, WHERE, LIMIT_OF_LIST, CURSOR_OF_LIST],
        responses={
            200: json_answer(CustomerPage, example=examples.CUSTOMERS_EXAMPLE, description="A page of customers.")
        },
    )
    def get(self, request: ApiRequest) -> ApiResponse:
        """Return the customers that meet every condition, sorted by a listed feature, page by page at one moment."""
        order = request.GET.get("order", BY_CUSTOMER_ID)
        conditions = parse_conditions(request.GET.getlist("where"))
        asked, after = list_at(request.GET.get("cursor"), order=order, conditions=conditions)
        page = read_list(asked, limit=parse_limit(request.GET.get("limit")), after=after)
        note_read(self.client.key_id, asked.versions)
        further = (
            None if page.next is None else replace_query_param(request.django.build_absolute_uri(), "cursor", page.next)
        )
        return json_response(
            {
                "as_of": moment_of_list(asked),
                "filled": share_filled(),
                "next": further,
                "results": [listed_as_object(row, asked=asked) for row in page.rows],
            }
        )


def listed_as_object(row: ListedCustomer, *, asked: CustomerList) -> dict[str, Any]:
    """Return a customer of a list, with null for what has no value."""
    values = dict(zip(asked.names, row.values, strict=True))
    others = {name: values.pop(name) for name in NO_FEATURES}
    return {"customer_id": row.customer_id, "features": values, **others}
