"""Definitions described in words."""

from typing import Any

import pytest

from features.models import FeatureDefinition
from features.registry.wording import definition_in_words


@pytest.mark.parametrize(
    ("fields", "wording"),
    [
        ({"kind": "count", "window_hours": 168}, "Number of all events over 7 days"),
        ({"kind": "count", "event_type": "page_view", "window_hours": 24}, "Number of page view events over 1 day"),
        ({"kind": "count", "event_type": "login", "window_hours": 1}, "Number of login events over 1 hour"),
        ({"kind": "count", "event_type": "login", "window_hours": 36}, "Number of login events over 36 hours"),
        (
            {"kind": "sum", "metadata_key": "amount", "event_type": "purchase", "category": "shoes",
             "window_hours": 336, "half_life_days": 7.0},
            "Sum of amount of purchase events in category shoes over 14 days, half-life 7 days",
        ),
        (
            {"kind": "mean", "metadata_key": "price", "window_hours": 2160, "half_life_days": 1.0},
            "Mean of price of all events over 90 days, half-life 1 day",
        ),
        (
            {"kind": "max", "metadata_key": "price", "category": "", "window_hours": 48},
            "Largest price of all events in category “” over 2 days",
        ),
        ({"kind": "last", "metadata_key": "price", "window_hours": 48}, "Last price of all events over 2 days"),
        (
            {"kind": "distinct", "metadata_key": "sku", "window_hours": 48, "half_life_days": None},
            "Number of different values of sku of all events over 2 days",
        ),
        ({"kind": ""}, "Computed by a formula of FeatureHub's own."),
        ({"feature_type": "derived", "expression": "a + b"}, "Computed from other features: a + b"),
        ({"feature_type": "derived"}, "Not computed."),
        ({"feature_type": "customer"}, "Written by clients."),
    ],
)  # fmt: skip
def test_a_definition_is_said_in_words(fields: dict[str, Any], wording: str) -> None:
    assert definition_in_words(FeatureDefinition(**{"name": "x", "feature_type": "behavioral", **fields})) == wording
