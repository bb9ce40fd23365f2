"""Date and time formats of the admin, named by FORMAT_MODULE_PATH."""
