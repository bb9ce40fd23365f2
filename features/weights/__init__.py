"""Weight sets: `numbers` reads them, `lifecycle` takes them from a draft to the active set and back."""

from features.weights.numbers import (
    activated_sets,
    activated_weights,
    active_set,
    active_sets,
    as_weights,
    describe,
    in_force,
    last_activated,
    live_set,
    merged,
    of_version,
    weights_of,
)

__all__ = [
    "activated_sets",
    "activated_weights",
    "active_set",
    "active_sets",
    "as_weights",
    "describe",
    "in_force",
    "last_activated",
    "live_set",
    "merged",
    "of_version",
    "weights_of",
]
