"""The registry in memory: definitions, feature views, weight sets."""
