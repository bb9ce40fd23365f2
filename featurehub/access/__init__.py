"""API keys, their limits, and the roles of admin users."""
