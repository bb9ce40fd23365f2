"""Feature definitions: the form, its preview, and what a definition says in words."""
