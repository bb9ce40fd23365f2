"""Definitions, versions, weight sets, customers, their append-only feature history, and runs of long work."""

from features.models.customers import BUCKETS, Customer, CustomerFeature, Publication, Renewal
from features.models.registry import FeatureDefinition, FeatureType, FeatureVersion, FeatureVersionStep, VersionUse
from features.models.runs import Run, RunChunk
from features.models.tuning import Backtest, BacktestDay, Fitting, ShadowDay
from features.models.weights import INFINITY, Weight, WeightSet, WeightSetStep, above_zero

__all__ = [
    "BUCKETS",
    "INFINITY",
    "Backtest",
    "BacktestDay",
    "Customer",
    "CustomerFeature",
    "FeatureDefinition",
    "FeatureType",
    "FeatureVersion",
    "FeatureVersionStep",
    "Fitting",
    "Publication",
    "Renewal",
    "Run",
    "RunChunk",
    "ShadowDay",
    "VersionUse",
    "Weight",
    "WeightSet",
    "WeightSetStep",
    "above_zero",
]
