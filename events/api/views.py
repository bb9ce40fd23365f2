"""View of POST /api/v1/events/."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.utils import extend_schema

from events.api.shapes import EventsRequest, StoredEvents
from events.ingest import Ingested, ingest
from events.partitions import oldest_kept
from events.posted import EventBatch, checked_events, refuse_same_keys_in
from events.tombstones import ERASED_CODE
from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer, json_request
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView, body_of, decoded_as
from featurehub.lib.traffic import POSTED, traffic

events_decoder = msgspec.json.Decoder(EventBatch)
EVENTS_EXAMPLE = {
    "events": [
        {
            "event_id": "order-1001",
            "customer_id": "c1",
            "event_type": "purchase",
            "timestamp": "2026-01-31T12:00:00Z",
            "metadata": {"amount": 49.9, "category": "shoes"},
        }
    ]
}
STORED_EXAMPLE = {"accepted": 1, "duplicates": 0}


class EventsView(ApiView):
    """Store 1 to 10,000 events, all of them or none; those of erased customers are given back as refused."""

    scopes = {"POST": Scope.INGEST}

    @extend_schema(
        operation_id="store_events",
        summary="Store events",
        tags=["Events"],
        request=json_request(EventsRequest, example=EVENTS_EXAMPLE),
        responses={201: json_answer(StoredEvents, example=STORED_EXAMPLE, description="The events are stored.")},
    )
    def post(self, request: ApiRequest) -> ApiResponse:
        """Store 1 to 10,000 events, all of them or none.

        The same `event_id` and `timestamp` counts once, however often it is sent: send a request again that was not
        answered. Events of erased customers are not taken, don't hold up the others, and are listed in `refused`.
        """
        body = body_of(request, most=settings.EVENTS_MAX_MEMORY_SIZE)
        posted = decoded_as(events_decoder, body).events
        now = datetime.now(UTC)
        checked = checked_events(posted, now=now, oldest=oldest_kept(now))
        refuse_same_keys_in(body, posted=posted, checked=checked)
        ingested = ingest(checked)
        count_posted(ingested)
        answer: dict[str, Any] = {"accepted": ingested.accepted, "duplicates": ingested.duplicates}
        if ingested.refused:
            answer["refused"] = [{"index": place, "reason": ERASED_CODE} for place in ingested.refused]
        return json_response(answer, status=201)


def count_posted(ingested: Ingested) -> None:
    """Count the events of a request by what became of them."""
    outcomes = {"accepted": ingested.accepted, "duplicate": ingested.duplicates, "refused": len(ingested.refused)}
    for outcome, number in outcomes.items():
        if number:
            traffic.count((POSTED, (outcome,)), number=number)
