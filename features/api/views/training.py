"""Point-in-time reads for training: /api/v1/features/as-of/."""

from typing import Annotated

import msgspec
from drf_spectacular.utils import extend_schema

from events.validation import CustomerId, Moment, check_customer_id
from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer, json_request
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView, body_as
from features.api import examples
from features.api.answers import AsOfRows
from features.api.bodies import NamesOrSet
from features.offline.as_of import Entity
from features.serving.point_in_time import as_of_join
from features.serving.read_plan import plan_read
from features.serving.usage import note_read

ENTITIES_PER_REQUEST = 10_000


class EntityBody(msgspec.Struct, forbid_unknown_fields=True):
    """A customer and a moment."""

    customer_id: CustomerId
    timestamp: Moment


class AsOfRequest(NamesOrSet, kw_only=True, forbid_unknown_fields=True):
    """Customers and moments, and what is read of them."""

    entities: Annotated[list[EntityBody], msgspec.Meta(min_length=1, max_length=ENTITIES_PER_REQUEST)]
    known_at: (
        Annotated[Moment, msgspec.Meta(description="Only what was stored by this moment; all if it is left out.")]
        | None
    ) = None


as_of_decoder = msgspec.json.Decoder(AsOfRequest)


class AsOfView(ApiView):
    """Point-in-time rows for training: no value is later than the entity's timestamp."""

    scopes = {"POST": Scope.READ}

    @extend_schema(
        operation_id="get_features_as_of",
        summary="Read values as of moments",
        tags=["History and training"],
        request=json_request(AsOfRequest, example=examples.AS_OF_EXAMPLE),
        responses={
            200: json_answer(AsOfRows, example=examples.AS_OF_ROWS_EXAMPLE, description="The values of each moment.")
        },
    )
    def post(self, request: ApiRequest) -> ApiResponse:
        """Return the values that 1 to 10,000 customers had at moments, for training.

        No value is later than its moment. With `known_at`, none was stored later than that either.
        """
        body = body_as(as_of_decoder, request)
        for position, entity in enumerate(body.entities):
            check_customer_id(entity.customer_id, attr=f"entities.{position}.customer_id")
        body.check_asks_for_something()
        asked = body.asked
        plan = plan_read(asked)
        note_read(self.client.key_id, plan.versions, feature_set=plan.feature_set)
        rows = as_of_join(
            [Entity(entity.customer_id, entity.timestamp) for entity in body.entities],
            names=asked.names,
            versions=asked.pins,
            feature_set=asked.feature_set,
            known_at=body.known_at,
        )
        results = [
            {
                "customer_id": row.entity.customer_id,
                "timestamp": row.entity.timestamp,
                "features": row.features,
                "missing": row.missing,
            }
            for row in rows
        ]
        of_set = {} if plan.feature_set is None else {"set": plan.feature_set, "versions": plan.versions}
        return json_response({**of_set, "results": results})
