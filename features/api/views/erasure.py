"""Erasure of a customer: DELETE /api/v1/customers/{id}/."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from events.validation import check_customer_id
from featurehub.access.models import Scope
from featurehub.http.responses import json_response
from featurehub.http.view import ApiView
from features.api.views.customers import CUSTOMER_ID
from features.materialization.erasure import erase_customer


class ReceiptSerializer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    erased_at = serializers.DateTimeField()
    events = serializers.IntegerField()
    history_rows = serializers.IntegerField()
    redis_keys = serializers.IntegerField(allow_null=True)
    done = serializers.BooleanField()


class ErasureView(ApiView):
    """Erasure of a customer from all stores; events that arrive later are refused."""

    scopes = {"DELETE": Scope.WRITE}

    @extend_schema(parameters=[CUSTOMER_ID], responses={200: ReceiptSerializer, 202: ReceiptSerializer})
    def delete(self, request: HttpRequest, customer_id: str) -> HttpResponse:
        check_customer_id(customer_id)
        receipt = erase_customer(customer_id)
        return json_response(asdict(receipt), status=200 if receipt.done else 202)
