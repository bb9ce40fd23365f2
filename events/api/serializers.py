"""Request and response of the events endpoint, for the OpenAPI schema only.

Requests are validated by `events.validation`.
"""

from typing import Annotated, Any

import msgspec
from rest_framework import serializers

from events.tombstones import ERASED_CODE
from events.validation import EVENTS_PER_REQUEST, NewEvent


class EventsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST events/`; `events.posted` decodes the same, and the metadata later."""

    events: Annotated[list[NewEvent], msgspec.Meta(min_length=1, max_length=EVENTS_PER_REQUEST)]


class RefusedEventSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    reason = serializers.ChoiceField(choices=[ERASED_CODE])


class IngestedSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    refused = RefusedEventSerializer(many=True, required=False)
