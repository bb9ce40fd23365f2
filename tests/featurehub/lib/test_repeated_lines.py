"""Lines that every request would log."""

import logging

import pytest

from features.serving.feature_store import get_feature_values
from tests.away import redis_away


@pytest.mark.django_db
def test_while_redis_is_away_the_log_says_so_once_and_not_for_each_read(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), redis_away():
        for number in range(20):
            get_feature_values([f"c{number}"], names=["tenure_days"])
    assert len([line for line in caplog.messages if "Redis is away" in line]) == 1
