"""Endpoints of many customers and of the registry: /api/v1/features/…, /api/v1/definitions/, /api/v1/weights/."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from events.validation import check_all, check_customer_ids
from featurehub.access.models import Scope
from featurehub.http.openapi import json_request
from featurehub.http.responses import json_body, json_response
from featurehub.http.view import ApiView, body_as
from featurehub.lib.clock import in_utc
from features.api.serializers import (
    BatchRequest,
    BatchSerializer,
    ComputedSerializer,
    ComputeRequest,
    DefinitionSerializer,
    DefinitionsSerializer,
    WeightSetsSerializer,
)
from features.monitoring.coverage import coverages
from features.registry.snapshot import definitions
from features.registry.weight_sets import activated_sets, live_set
from features.serving.feature_store import values_as_json
from features.serving.simulate import compute_features

BATCH_EXAMPLE = {"customer_ids": ["c1", "c2"], "names": ["engagement_score", "cart_value"]}
COMPUTE_EXAMPLE = {
    "events": [{"customer_id": "c1", "event_type": "login", "timestamp": "2026-01-31T12:00:00Z"}],
    "as_of": "2026-02-01T00:00:00Z",
    "weights": {"login": {"weight": 0.5}},
}
batch_decoder = msgspec.json.Decoder(BatchRequest)
compute_decoder = msgspec.json.Decoder(ComputeRequest)


class BatchView(ApiView):
    """The named values, or those of a feature set, of many customers, in the order of the request."""

    scopes = {"POST": Scope.READ}

    @extend_schema(request=json_request(BatchRequest, example=BATCH_EXAMPLE), responses=BatchSerializer)
    def post(self, request: HttpRequest) -> HttpResponse:
        body = body_as(batch_decoder, request)
        check_customer_ids(body.customer_ids, attr="customer_ids")
        body.check_asks_for_something()
        results = values_as_json(
            body.customer_ids,
            names=body.names,
            versions=body.versions,
            feature_set=body.feature_set,
            key_id=self.client.key_id,
        )
        return json_body(b'{"results":[%b]}' % b",".join(results))


class ComputeView(ApiView):
    """The values that the formulas give for the events in the request; nothing is stored."""

    scopes = {"POST": Scope.READ}

    @extend_schema(request=json_request(ComputeRequest, example=COMPUTE_EXAMPLE), responses=ComputedSerializer)
    def post(self, request: HttpRequest) -> HttpResponse:
        body = body_as(compute_decoder, request, most=settings.EVENTS_MAX_MEMORY_SIZE)
        now = datetime.now(UTC)
        check_all(body.events, now=now)
        as_of = now if body.as_of is None else in_utc(body.as_of, attr="as_of")
        changes: dict[str, Any] = msgspec.to_builtins(body.weights)
        return json_response(
            compute_features(body.events, as_of=as_of, weight_changes=changes, monetary_norm=body.monetary_norm)
        )


class DefinitionsView(ApiView):
    """The registered features, with coverage and age measured on a sample of customers."""

    scopes = {"GET": Scope.READ}

    @extend_schema(responses=DefinitionsSerializer)
    def get(self, request: HttpRequest) -> HttpResponse:
        measured = coverages.get()
        results = DefinitionSerializer(definitions(), many=True, context={"coverages": measured}).data
        return json_response({"sampled_customers": measured.customers, "results": results})


class WeightsView(ApiView):
    """The active weight set of the live version, and all sets that are or were active, newest first."""

    scopes = {"GET": Scope.READ}

    @extend_schema(responses=WeightSetsSerializer)
    def get(self, request: HttpRequest) -> HttpResponse:
        sets, live = activated_sets(), live_set()
        active = next((row for row in sets if live is not None and row["id"] == live.pk), None)
        return json_response({"active": active, "results": sets})
