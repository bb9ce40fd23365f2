"""Endpoints of feature sets: /api/v1/feature-sets/…."""

import msgspec
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status

from featurehub.access.models import Scope
from featurehub.http.openapi import json_request
from featurehub.http.responses import json_response
from featurehub.http.view import ApiView, body_as
from features.api.serializers import FeatureSetRequest, FeatureSetSerializer, FeatureSetsSerializer
from features.lifecycle.feature_sets import make_feature_set
from features.registry.feature_sets import SET_EXAMPLE, WRITTEN_SET, described_set, described_sets

FEATURE_SET_EXAMPLE = {
    "name": "churn_model",
    "names": ["engagement_score", "recency_score", "cart_value"],
    "version": ["behavioral:1.0"],
    "reason": "What the churn model of May takes",
}
NAME_OF_SETS = OpenApiParameter("name", str, description="only the sets of this name")
WRITTEN = OpenApiParameter(
    "feature_set", {"type": "string", "pattern": f"^{WRITTEN_SET.pattern}$"}, OpenApiParameter.PATH,
    examples=[OpenApiExample("a set", SET_EXAMPLE)],
)  # fmt: skip
feature_set_decoder = msgspec.json.Decoder(FeatureSetRequest)


class FeatureSetsView(ApiView):
    """All feature sets; POST makes the next one of a name."""

    scopes = {"GET": Scope.READ, "POST": Scope.WRITE}
    parameters = {"GET": ("name",)}

    @extend_schema(operation_id="v1_feature_sets_list", parameters=[NAME_OF_SETS], responses=FeatureSetsSerializer)
    def get(self, request: HttpRequest) -> HttpResponse:
        return json_response({"results": described_sets(request.GET.get("name"))})

    @extend_schema(
        request=json_request(FeatureSetRequest, example=FEATURE_SET_EXAMPLE),
        responses={201: FeatureSetSerializer, 200: FeatureSetSerializer},
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        body = body_as(feature_set_decoder, request, refuse_twice=True)
        made = make_feature_set(
            body.name,
            names=body.names,
            versions=[body.version] if isinstance(body.version, str) else body.version,
            by=None,
            reason=body.reason,
            key_id=self.client.key_id,
        )
        answer = status.HTTP_201_CREATED if made.is_new else status.HTTP_200_OK
        return json_response(described_set(str(made.feature_set)), status=answer)


class FeatureSetView(ApiView):
    """One feature set, written churn_model:3."""

    scopes = {"GET": Scope.READ}

    @extend_schema(parameters=[WRITTEN], responses=FeatureSetSerializer)
    def get(self, request: HttpRequest, feature_set: str) -> HttpResponse:
        return json_response(described_set(feature_set))
