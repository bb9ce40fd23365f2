"""The family of errors that services raise.

They are independent of HTTP: `featurehub.http.errors` gives them a status.
"""

import msgspec


class FeatureHubError(Exception):
    """A request that can't be done; nothing was changed.

    `detail` is a sentence for the user, `code` a word for their program, and `attr` the part of the input that was
    wrong (`events.3.timestamp`), or None.
    """

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None, attr: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.attr = attr


class InvalidError(FeatureHubError):
    """The input is wrong."""

    code = "invalid"


class UnknownError(FeatureHubError):
    """The object of the request does not exist."""

    code = "not_found"


class ConflictError(FeatureHubError):
    """The request is valid, but not in the present state of its object."""

    code = "conflict"


class UnavailableError(FeatureHubError):
    """A required service is down; a later request may succeed."""

    code = "unavailable"


class DatabaseNeeded(UnavailableError):
    """The pool `reads` can't answer without PostgreSQL; the front sends the request to the pool `api`."""


def json_problem(error: Exception) -> str:
    """Return what keeps a text from being JSON: in msgspec's words, or in our own where Python's differ by version."""
    if isinstance(error, msgspec.DecodeError):
        return str(error)
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it can't be read"
