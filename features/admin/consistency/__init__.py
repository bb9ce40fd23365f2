"""Checks of consistency in the admin: their history, and the page of each with the repair."""
