"""POST /api/v1/events/."""

from datetime import UTC, datetime

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from events.ingest import ingest
from events.partitions import oldest_kept
from events.serializers import EventBatchSerializer, IngestedSerializer
from events.validation import EventBatch, check_all
from featurehub.access.models import Scope
from featurehub.api import ApiView, body_as

decoder = msgspec.json.Decoder(EventBatch)


class EventsView(ApiView):
    """Takes 1 to 10,000 events, all or nothing."""

    scopes = {"POST": Scope.INGEST}

    @extend_schema(request=EventBatchSerializer, responses={201: IngestedSerializer})
    def post(self, request: Request) -> Response:
        events = body_as(decoder, request).events
        now = datetime.now(UTC)
        check_all(events, now=now, oldest=oldest_kept(now))
        ingested = ingest(events)
        return Response(
            {"accepted": ingested.accepted, "duplicates": ingested.duplicates}, status=status.HTTP_201_CREATED
        )
