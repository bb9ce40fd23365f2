"""Moments in the admin: unambiguous, sortable, UTC as everything here. Named by FORMAT_MODULE_PATH."""

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s"
