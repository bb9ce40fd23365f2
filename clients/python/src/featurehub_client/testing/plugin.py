"""Fixtures of pytest, which finds them where the package is installed.

def test_a_discount_for_engaged_customers(featurehub_server, featurehub):
    featurehub_server.set_values("c1", {"engagement_score": 0.9})
    assert discount_for("c1", hub=featurehub) == 0.1
"""

from collections.abc import Iterator

import pytest

from featurehub_client.client import FeatureHub
from featurehub_client.testing.server import FakeServer


@pytest.fixture
def featurehub_server() -> FakeServer:
    """Return an empty fake server."""
    return FakeServer()


@pytest.fixture
def featurehub(featurehub_server: FakeServer) -> Iterator[FeatureHub]:
    """Return a client of the fake server, closed after the test."""
    with featurehub_server.client() as hub:
        yield hub
