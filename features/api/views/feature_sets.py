"""Endpoints of feature sets: /api/v1/feature-sets/…."""

import msgspec
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status

from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer, json_request
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView, body_as
from features.api import examples
from features.api.answers import DescribedSet, DescribedSets
from features.api.bodies import SET_PATTERN, FeatureSetRequest
from features.lifecycle.feature_sets import make_feature_set
from features.registry.feature_sets import SET_EXAMPLE, described_set, described_sets

NAME_OF_SETS = OpenApiParameter("name", str, description="Only the sets of this name.")
WRITTEN = OpenApiParameter(
    "feature_set", {"type": "string", "pattern": SET_PATTERN}, OpenApiParameter.PATH,
    description="The name and the number of a set.",
    examples=[OpenApiExample("a set", SET_EXAMPLE)],
)  # fmt: skip
feature_set_decoder = msgspec.json.Decoder(FeatureSetRequest)


class FeatureSetsView(ApiView):
    """All feature sets; POST makes the next one of a name."""

    scopes = {"GET": Scope.READ, "POST": Scope.WRITE}
    parameters = {"GET": ("name",)}

    @extend_schema(
        operation_id="list_feature_sets",
        summary="List the feature sets",
        tags=["Feature sets"],
        parameters=[NAME_OF_SETS],
        responses={
            200: json_answer(DescribedSets, example=examples.FEATURE_SETS_EXAMPLE, description="The feature sets.")
        },
    )
    def get(self, request: ApiRequest) -> ApiResponse:
        """Return all feature sets, or those of a name: by name, the newest number first."""
        return json_response({"results": described_sets(request.GET.get("name"))})

    @extend_schema(
        operation_id="make_feature_set",
        summary="Make the next feature set of a name",
        tags=["Feature sets"],
        request=json_request(FeatureSetRequest, example=examples.FEATURE_SET_REQUEST_EXAMPLE),
        responses={
            201: json_answer(DescribedSet, example=examples.FEATURE_SET_EXAMPLE, description="The new set."),
            200: json_answer(
                DescribedSet,
                example=examples.FEATURE_SET_EXAMPLE,
                description="The newest set of the name, which is the same.",
            ),
        },
    )
    def post(self, request: ApiRequest) -> ApiResponse:
        """Make a list of features, each type of them pinned to a version: what one model reads.

        The set never changes. Where no version is given, those that are live now are pinned.
        """
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

    @extend_schema(
        operation_id="get_feature_set",
        summary="Read a feature set",
        tags=["Feature sets"],
        parameters=[WRITTEN],
        responses={
            200: json_answer(DescribedSet, example=examples.FEATURE_SET_EXAMPLE, description="The feature set.")
        },
    )
    def get(self, request: ApiRequest, feature_set: str) -> ApiResponse:
        """Return one feature set, such as churn_model:3."""
        return json_response(described_set(feature_set))
