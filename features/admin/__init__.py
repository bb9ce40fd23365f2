"""The admin of the feature store: a folder a subject. Importing it registers every model."""

from features.admin import activity_log, event_types, runs, schedule
from features.admin.consistency import model_admin as consistency
from features.admin.customers import history
from features.admin.customers import model_admin as customers
from features.admin.definitions import model_admin as definitions
from features.admin.feature_sets import model_admin as feature_sets
from features.admin.overview import page as overview
from features.admin.values import model_admin as values
from features.admin.versions import model_admin as versions
from features.admin.weights import model_admin as weights

__all__ = [
    "activity_log",
    "consistency",
    "customers",
    "definitions",
    "event_types",
    "feature_sets",
    "history",
    "overview",
    "runs",
    "schedule",
    "values",
    "versions",
    "weights",
]
