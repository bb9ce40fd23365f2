"""Base classes, permissions and navigation that the admin of every app uses."""
