"""The embedded servers of a local folder, by the environment variable that replaces each."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.server import Server
from featurehub.devserver.valkey import Valkey

SERVERS: Mapping[str, tuple[type[Server], str]] = {
    "DATABASE_URL": (Postgres, "postgres"),
    "REDIS_URL": (Valkey, "valkey"),
}


@contextmanager
def running_servers(local_dir: Path, *, names: Collection[str] = tuple(SERVERS)) -> Iterator[dict[str, str]]:
    """Yield the URLs of the named servers, which run at least until the block ends and may be shared.

    Raise EmbeddedServerError if one can't be started.
    """
    with ExitStack() as stack:
        urls = {}
        for name in names:
            server, folder = SERVERS[name]
            urls[name] = stack.enter_context(server(local_dir / folder).shared())
        yield urls
