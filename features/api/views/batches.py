"""Endpoints of many customers and of the registry: /api/v1/features/…, /api/v1/definitions/, /api/v1/weights/."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.utils import extend_schema

from events.validation import check_all, check_customer_id, check_customer_ids, check_timestamp
from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer, json_request
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView, body_as
from featurehub.lib.clock import in_utc
from featurehub.lib.errors import InvalidError
from features.api import examples
from features.api.answers import BatchOfValues, RegisteredFeatures, SimulatedFeatures, WeightSets, WrittenRows
from features.api.bodies import BatchPatch, BatchRequest, ComputeRequest, PatchedRow
from features.api.definitions import described_definition
from features.materialization.client_values import set_features_of_customers
from features.monitoring.coverage import coverages
from features.offline.written import WrittenRow
from features.registry.snapshot import definitions
from features.registry.weight_sets import activated_sets, live_set
from features.serving.feature_store import values_as_json
from features.serving.simulate import compute_features
from features.serving.usage import note_write

batch_patch_decoder = msgspec.json.Decoder(BatchPatch)
batch_decoder = msgspec.json.Decoder(BatchRequest)
compute_decoder = msgspec.json.Decoder(ComputeRequest)


class BatchView(ApiView):
    """The named values, or those of a feature set, of many customers, in the order of the request.

    PATCH writes those that clients own.
    """

    scopes = {"POST": Scope.READ, "PATCH": Scope.WRITE}

    @extend_schema(
        operation_id="get_features_of_customers",
        summary="Read values of many customers",
        tags=["Values"],
        request=json_request(BatchRequest, example=examples.BATCH_EXAMPLE),
        responses={200: json_answer(BatchOfValues, example=examples.BATCH_VALUES_EXAMPLE, description="The values.")},
    )
    def post(self, request: ApiRequest) -> ApiResponse:
        """Return the named values, or those of a feature set, of 1 to 1,000 customers, in the order asked."""
        body = body_as(batch_decoder, request)
        check_customer_ids(body.customer_ids, attr="customer_ids")
        body.check_asks_for_something()
        results = values_as_json(body.customer_ids, body.asked, key_id=self.client.key_id)
        return ApiResponse(b'{"results":[%b]}' % b",".join(results))

    @extend_schema(
        operation_id="set_features_of_customers",
        summary="Write values of many customers",
        tags=["Values"],
        request=json_request(BatchPatch, example=examples.BATCH_PATCH_EXAMPLE),
        responses={
            200: json_answer(WrittenRows, example=examples.WRITTEN_ROWS_EXAMPLE, description="All rows are written.")
        },
    )
    def patch(self, request: ApiRequest) -> ApiResponse:
        """Write 1 to 10,000 rows of a type that clients write, all of them or none.

        A customer may have several rows; of equal timestamps the later row wins. An error names its row:
        `rows.17.features.churn_score`.
        """
        body = body_as(batch_patch_decoder, request, most=settings.EVENTS_MAX_MEMORY_SIZE, refuse_twice=True)
        rows = checked_rows(body.rows, now=datetime.now(UTC))
        appended = set_features_of_customers(rows, feature_type=body.feature_type, version=body.version)
        note_write(self.client.key_id, {body.feature_type: body.version})
        return json_response({"accepted": len(rows), "appended": appended})


def checked_rows(rows: Sequence[PatchedRow], *, now: datetime) -> list[WrittenRow]:
    """Return the rows with their moments in UTC.

    Raise InvalidError with `attr` `rows.N.…` for an id or a moment that is not valid.
    """
    checked = []
    for position, row in enumerate(rows):
        try:
            check_customer_id(row.customer_id)
            timestamp = None if row.timestamp is None else in_utc(row.timestamp, attr="timestamp")
            if timestamp is not None:
                check_timestamp(timestamp, now=now)
        except InvalidError as error:
            error.attr = f"rows.{position}.{error.attr}"
            raise
        checked.append(WrittenRow(row.customer_id, row.features, timestamp))
    return checked


class ComputeView(ApiView):
    """The values that the formulas give for the events in the request; nothing is stored."""

    scopes = {"POST": Scope.READ}

    @extend_schema(
        operation_id="compute_features",
        summary="Compute values of events that are not stored",
        tags=["Scores"],
        request=json_request(ComputeRequest, example=examples.COMPUTE_EXAMPLE),
        responses={200: json_answer(SimulatedFeatures, example=examples.SIMULATED_EXAMPLE, description="The values.")},
    )
    def post(self, request: ApiRequest) -> ApiResponse:
        """Return the behavioral values that the formulas give for the events of one customer; nothing is stored.

        `weights` and `monetary_norm` are tried in place of those of the active weight set.
        """
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

    @extend_schema(
        operation_id="list_definitions",
        summary="List the registered features",
        tags=["Registry"],
        responses={
            200: json_answer(RegisteredFeatures, example=examples.DEFINITIONS_EXAMPLE, description="The features.")
        },
    )
    def get(self, request: ApiRequest) -> ApiResponse:
        """Return the registered features, with coverage and age measured on a sample of customers."""
        measured = coverages.get()
        results = [described_definition(each, coverages=measured) for each in definitions()]
        return json_response(RegisteredFeatures(sampled_customers=measured.customers, results=results))


class WeightsView(ApiView):
    """The active weight set of the live version, and all sets that are or were active, newest first."""

    scopes = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_weight_sets",
        summary="List the weight sets",
        tags=["Scores"],
        responses={200: json_answer(WeightSets, example=examples.WEIGHT_SETS_EXAMPLE, description="The weight sets.")},
    )
    def get(self, request: ApiRequest) -> ApiResponse:
        """Return the active weight set of the live version, and all sets that are or were active, the newest first."""
        sets, live = activated_sets(), live_set()
        active = next((row for row in sets if live is not None and row["id"] == live.pk), None)
        return json_response({"active": active, "results": sets})
