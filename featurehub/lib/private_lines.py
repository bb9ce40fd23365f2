"""Lines of the log without the ids of customers."""

import logging
import re

LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"
# Addresses of the API and of the admin, and keys of Redis, which its client quotes in errors.
CUSTOMER = re.compile(r"(/customers?/|_features:)[^\s/?\"']+")


class PrivateLines(logging.Formatter):
    """A formatter of lines and tracebacks that leaves out the ids of customers in addresses and in keys of Redis.

    What PostgreSQL quotes does not come this far, see `featurehub.database.base`.
    """

    def __init__(self) -> None:
        super().__init__(LINE)

    def format(self, record: logging.LogRecord) -> str:
        return without_customers(super().format(record))


def without_customers(text: str) -> str:
    """Return the text with … in place of the ids of customers in addresses and in keys of Redis."""
    return CUSTOMER.sub(r"\1…", text)
