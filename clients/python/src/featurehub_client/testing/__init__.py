"""A fake FeatureHub in memory, for the tests of programs that use the client.

The tests of this package hold it to a real one. The fixtures `featurehub_server` and `featurehub` are in
`featurehub_client.testing.plugin`.
"""

from featurehub_client.testing.server import FakeServer

__all__ = ["FakeServer"]
