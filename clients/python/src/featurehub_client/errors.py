"""Errors that the client raises: one family, with the API's own sentence, code and part of the input."""

import msgspec


class FeatureHubError(Exception):
    """The base of all errors of this client."""


class NoAnswerError(FeatureHubError):
    """The server was not reached, or did not answer in time; `__cause__` is httpx's error."""


class UnexpectedAnswerError(FeatureHubError):
    """The answer is not one of FeatureHub's: a redirect, or the page of a proxy."""


class BufferFullError(FeatureHubError):
    """The event buffer is full, and its policy is `raise`."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: a word for programs, a sentence for people, and the part of the input."""

    code: str
    detail: str
    attr: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """The body of an error."""

    type: str
    errors: list[Problem]


class ApiError(FeatureHubError):
    """The API refused the request, and changed nothing.

    `status` is the HTTP status, `problems` what is wrong, of which `code`, `detail` and `attr` are those of the first.
    `retry_after` is in seconds, None where the server gave none.
    """

    def __init__(self, status: int, *, problems: list[Problem], retry_after: float | None = None) -> None:
        first = problems[0]
        super().__init__(first.detail if first.attr is None else f"{first.detail} ({first.attr})")
        self.status = status
        self.problems = problems
        self.code, self.detail, self.attr = first.code, first.detail, first.attr
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.status, self.problems, self.retry_after)


def _restored(kind: type[ApiError], status: int, problems: list[Problem], retry_after: float | None) -> ApiError:
    """Return an error that was pickled: a pool of processes hands errors on so."""
    return kind(status, problems=problems, retry_after=retry_after)


class InvalidRequestError(ApiError):
    """400, 405, 413 or 415: the request is wrong; `attr` names the part."""


class AuthenticationError(ApiError):
    """401: no API key, an unknown, expired or revoked one."""


class PermissionDeniedError(ApiError):
    """403: the API key lacks the scope."""


class NotFoundError(ApiError):
    """404: what the request names does not exist."""


class ConflictError(ApiError):
    """409: the request is valid, but not in the present state of its object."""


class RateLimitedError(ApiError):
    """429: beyond the API key's limit, also after the retries."""


class UnavailableError(ApiError):
    """5xx: the server or a part of it is down, also after the retries."""


KINDS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}


def api_error(status: int, *, body: bytes, retry_after: float | None) -> ApiError:
    """Return the error for a status from 400 on; it tells the status alone where the body is not FeatureHub's."""
    try:
        problems = msgspec.json.decode(body, type=Refusal).errors
    except msgspec.MsgspecError:
        problems = []
    problems = problems or [Problem("error", f"The server answers with status {status}.")]
    kind = KINDS.get(status, UnavailableError if status >= 500 else InvalidRequestError)
    return kind(status, problems=problems, retry_after=retry_after)
