"""Value monitoring in the admin: what has shifted, a page with charts for each feature, and events by type."""
