"""Definitions as code: event types, definitions, versions, sets and weights as one YAML file, planned and applied."""
