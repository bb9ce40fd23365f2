"""The admin of the feature store."""
