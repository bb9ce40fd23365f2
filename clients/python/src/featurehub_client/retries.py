"""Retries: which failed requests are sent again, and after how many seconds."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

TOO_MANY_REQUESTS = 429
# 429: not taken yet. 502 and 504: a proxy got no answer. 503: a part of the server is down.
PASSING = frozenset((TOO_MANY_REQUESTS, 502, 503, 504))
# The request has not left: it can be sent again, whatever it does.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """The number of attempts, and the waits between them in seconds.

    The wait before retry n is random between 0 and the smaller of `longest_delay` and `first_delay` × 2^(n − 1) (full
    jitter), so that clients that failed together do not come back together. A Retry-After is added to it; where the
    server asks for more than `longest_retry_after`, the error is raised at once, with its `retry_after`.

    Sent again are requests that were not answered, and those answered with 429, 502, 503 and 504. A request that may
    not be repeated (values without a timestamp) is sent again only if it has not left, or after a 429.
    """

    attempts: int = 4
    first_delay: float = 0.1
    longest_delay: float = 5.0
    longest_retry_after: float = 60.0

    def delay_after(
        self, outcome: "httpx.Response | httpx.TransportError", *, attempt: int, is_repeatable: bool
    ) -> float | None:
        """Return the seconds to wait before the next attempt; None where there is none. `attempt` counts from 1."""
        if attempt >= self.attempts or not may_pass(outcome, is_repeatable=is_repeatable):
            return None
        retry_after = None if isinstance(outcome, httpx.TransportError) else retry_after_of(outcome)
        if retry_after is not None and retry_after > self.longest_retry_after:
            return None
        backoff: float = min(self.longest_delay, self.first_delay * 2 ** (attempt - 1))
        return (retry_after or 0.0) + random.uniform(0, backoff)  # noqa: S311 - no secret


def may_pass(outcome: "httpx.Response | httpx.TransportError", *, is_repeatable: bool) -> bool:
    """Return whether the same request may succeed later, and may be sent again."""
    if isinstance(outcome, httpx.UnsupportedProtocol):
        return False
    if isinstance(outcome, httpx.TransportError):
        return is_repeatable or isinstance(outcome, NOT_SENT)
    return outcome.status_code == TOO_MANY_REQUESTS or (is_repeatable and outcome.status_code in PASSING)


def retry_after_of(response: httpx.Response) -> float | None:
    """Return the seconds of the header Retry-After, which has a number or a date; None without a valid one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
