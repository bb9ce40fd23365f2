"""The one family of errors that services raise. They know nothing of HTTP; `featurehub.api` gives them a status."""


class FeatureHubError(Exception):
    """Something was asked that can't be done; nothing was changed.

    `detail` is a sentence for the person who asked, `code` a word for their program, and `attr` names
    the part of the input that was wrong (`events.3.timestamp`), or None.
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
    """What was named does not exist."""

    code = "not_found"


class ConflictError(FeatureHubError):
    """It was valid, but the state it was meant for is gone."""

    code = "conflict"


class UnavailableError(FeatureHubError):
    """A part that is needed is down; asking again later can help."""

    code = "unavailable"
