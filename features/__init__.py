"""The feature store: definitions, computation, history, serving, weights, admin."""
