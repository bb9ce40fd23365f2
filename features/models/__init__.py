"""Models: definitions, versions, weight sets, customers, their append-only feature history, and runs."""

from features.models.activity_log import ActivityLogEntry
from features.models.applied_files import AppliedFile
from features.models.consistency import ConsistencyCheck, InconsistentCustomer
from features.models.customers import BUCKET, BUCKETS, Customer, CustomerFeature, OnlineStore, Publication, Renewal
from features.models.definitions import WRITTEN_BY_CLIENTS, FeatureDefinition, FeatureType
from features.models.feature_sets import FeatureSet, FeatureSetUse
from features.models.monitoring import CountedEvents, SeriesPoint
from features.models.profiles import (
    BaselineWeek,
    EventHour,
    FeatureProfile,
    FeatureThresholds,
    ProfiledDay,
    ProfilePart,
)
from features.models.runs import ComputedRange, Run, RunChunk
from features.models.tuning import Backtest, BacktestDay, Fitting, ShadowDay
from features.models.versions import READABLE_STATES, FeatureVersion, FeatureVersionStep, VersionUse
from features.models.weights import INFINITY, Weight, WeightSet, WeightSetStep, above_zero

__all__ = [
    "BUCKET",
    "BUCKETS",
    "INFINITY",
    "READABLE_STATES",
    "WRITTEN_BY_CLIENTS",
    "ActivityLogEntry",
    "AppliedFile",
    "Backtest",
    "BacktestDay",
    "BaselineWeek",
    "ComputedRange",
    "ConsistencyCheck",
    "CountedEvents",
    "Customer",
    "CustomerFeature",
    "EventHour",
    "FeatureDefinition",
    "FeatureProfile",
    "FeatureSet",
    "FeatureSetUse",
    "FeatureThresholds",
    "FeatureType",
    "FeatureVersion",
    "FeatureVersionStep",
    "Fitting",
    "InconsistentCustomer",
    "OnlineStore",
    "ProfilePart",
    "ProfiledDay",
    "Publication",
    "Renewal",
    "Run",
    "RunChunk",
    "SeriesPoint",
    "ShadowDay",
    "VersionUse",
    "Weight",
    "WeightSet",
    "WeightSetStep",
    "above_zero",
]
