"""Pure formulas: columns in, columns out. No Django, no Redis."""
