"""Deletion of event types: what features and weight sets use stays."""

from django.db import transaction

from events.registration import delete_event_type
from featurehub.lib.errors import ConflictError
from featurehub.lib.humanize import listed
from features.models import FeatureDefinition, Weight


def delete_unused_event_type(name: str) -> None:
    """Delete an event type. Raise ConflictError for one that has events, or that features or weights use."""
    with transaction.atomic():
        features = FeatureDefinition.objects.filter(event_type=name).order_by("name").values_list("name", flat=True)
        if features:
            raise ConflictError(f"The event type {name} stays: {listed(list(features))} counts its events.")
        weight = Weight.objects.filter(event_type=name, weight__gt=0).select_related("weight_set").first()
        if weight is not None:
            raise ConflictError(f"The event type {name} stays: {weight.weight_set} has a weight for it.")
        delete_event_type(name)
