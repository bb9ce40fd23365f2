"""Views of the feature endpoints: each parses, calls one function and serialises."""
