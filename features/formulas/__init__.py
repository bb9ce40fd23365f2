"""Formulas: pure functions from columns to columns, without Django and Redis."""
