"""Refused requests in the metrics for Prometheus."""

import re

import pytest
from django.test import Client

from featurehub.access.limits import FAILURES_PER_MINUTE, count_rejection
from tests.api_client import ApiClient
from tests.away import redis_away
from tests.featurehub.access.test_limits import make_client, statuses

pytestmark = pytest.mark.django_db


def rejected(client: Client) -> dict[str, float]:
    """Return the number of refused requests by reason."""
    page = client.get("/metrics").content.decode()
    pattern = r'^featurehub_rejected_requests_total\{reason="(\w+)"\} (\S+)$'
    return {reason: float(number) for reason, number in re.findall(pattern, page, re.MULTILINE)}


def test_before_anybody_was_refused_the_counters_are_there_at_zero(client: Client) -> None:
    assert rejected(client) == {"key_limit": 0, "guesses": 0}


def test_requests_beyond_the_limit_of_their_key_are_counted(client: Client) -> None:
    for _ in range(2):
        assert statuses(make_client(per_minute=1), 3) == [200, 429, 429]
    assert rejected(client) == {"key_limit": 4, "guesses": 0}


def test_guesses_are_counted_from_the_first_that_is_answered_with_429(client: Client) -> None:
    statuses(ApiClient(key="fh_guess"), FAILURES_PER_MINUTE + 2)
    assert rejected(client) == {"key_limit": 0, "guesses": 2}


def test_while_redis_is_away_the_page_is_there_without_them(client: Client) -> None:
    with redis_away():
        assert rejected(client) == {}
        count_rejection("guesses")
    assert rejected(client) == {"key_limit": 0, "guesses": 0}


def test_refusing_goes_on_where_redis_is_full(client: Client, full_redis: None) -> None:
    count_rejection("guesses")
    assert rejected(client) == {"key_limit": 0, "guesses": 0}
