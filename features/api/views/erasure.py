"""Erasure of a customer: DELETE /api/v1/customers/{id}/."""

from dataclasses import asdict

from drf_spectacular.utils import extend_schema

from events.validation import check_customer_id
from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView
from features.api import examples
from features.api.answers import ErasureReceipt
from features.api.views.customers import CUSTOMER_ID
from features.materialization.erasure import erase_customer


class ErasureView(ApiView):
    """Erasure of a customer from all stores; events that arrive later are refused."""

    scopes = {"DELETE": Scope.WRITE}

    @extend_schema(
        operation_id="erase_customer",
        summary="Erase a customer",
        tags=["Erasure"],
        parameters=[CUSTOMER_ID],
        responses={
            200: json_answer(ErasureReceipt, example=examples.RECEIPT_EXAMPLE, description="The customer is erased."),
            202: json_answer(
                ErasureReceipt,
                example=examples.RECEIPT_OF_LATER_EXAMPLE,
                description="Redis is away, and still has values; a worker deletes them when it is back.",
            ),
        },
    )
    def delete(self, request: ApiRequest, customer_id: str) -> ApiResponse:
        """Delete the customer's events, history and values. Events and values that arrive later are refused."""
        check_customer_id(customer_id)
        receipt = erase_customer(customer_id)
        return json_response(asdict(receipt), status=200 if receipt.done else 202)
