"""Request and response of the events endpoint, for the OpenAPI schema only.

Requests are validated by `events.validation`.
"""

from typing import Any

from rest_framework import serializers

from events.event_types import EVENT_TYPES
from events.tombstones import ERASED_CODE


class EventSerializer(serializers.Serializer[Any]):
    customer_id = serializers.CharField(max_length=128)
    event_type = serializers.ChoiceField(choices=EVENT_TYPES)
    timestamp = serializers.DateTimeField()
    event_id = serializers.CharField(max_length=64, required=False)
    session_id = serializers.CharField(max_length=128, required=False)
    metadata = serializers.DictField(required=False)


class EventBatchSerializer(serializers.Serializer[Any]):
    events = EventSerializer(many=True)


class RefusedEventSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    reason = serializers.ChoiceField(choices=[ERASED_CODE])


class IngestedSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    refused = RefusedEventSerializer(many=True, required=False)
