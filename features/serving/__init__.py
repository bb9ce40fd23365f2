"""Reads: from the online store, else from the offline store with a refill."""
