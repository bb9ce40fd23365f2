"""The HTTP endpoints of the feature store."""
