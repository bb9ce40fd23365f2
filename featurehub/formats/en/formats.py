"""Formats of dates and times in the admin: unambiguous, sortable, in UTC.

Named by the setting FORMAT_MODULE_PATH.
"""

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s"
