"""Customers: the list, the page of one, the feature history."""
