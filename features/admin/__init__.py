"""The admin of the feature store."""

from features.admin import weights

__all__ = ["weights"]
