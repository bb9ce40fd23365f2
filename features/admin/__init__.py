"""The admin of the feature store: a module a subject."""

from features.admin import customers, definitions, history, runs, schedule, versions, weights

__all__ = ["customers", "definitions", "history", "runs", "schedule", "versions", "weights"]
