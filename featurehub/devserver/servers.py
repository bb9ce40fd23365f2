"""The embedded servers of a local folder, by the environment variable that replaces each."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from featurehub.devserver.postgres import Postgres
from featurehub.devserver.restarts import ProcessEnded, Restarted
from featurehub.devserver.server import EmbeddedServerError, Server
from featurehub.devserver.valkey import Valkey

SERVERS: Mapping[str, tuple[type[Server], str]] = {
    "DATABASE_URL": (Postgres, "postgres"),
    "REDIS_URL": (Valkey, "valkey"),
}
_LINES_OF_LOG = 10


@contextmanager
def running_servers(local_dir: Path, *, names: Collection[str] = tuple(SERVERS)) -> Iterator[dict[str, str]]:
    """Yield the URLs of the named servers, which run at least until the block ends and may be shared.

    Raise EmbeddedServerError if one can't be started.
    """
    with ExitStack() as stack:
        urls = {}
        for name in names:
            urls[name] = stack.enter_context(server_of(local_dir, name=name).shared())
        yield urls


def server_of(local_dir: Path, *, name: str) -> Server:
    """Return the server that replaces the environment variable `name`."""
    server, folder = SERVERS[name]
    return server(local_dir / folder)


class WatchedServer(Restarted):
    """An embedded server that we share, and start again if it dies.

    While it starts, `pause` is called repeatedly, and may raise an error to end that.
    """

    def __init__(self, server: Server, *, pause: Callable[[], None], first_delay: float) -> None:
        super().__init__(server.name, first_delay=first_delay, now=time.monotonic())
        self._server = server
        self._pause = pause
        self._port = server.port
        self._failed_start = ""

    def describe_end(self) -> str | None:
        if self._server.pid() is None:
            return self._failed_start or f"its log is {self._server.log}"
        if self._server.port != self._port:
            raise ProcessEnded(f"Another program started {self.name} again, on another port: start FeatureHub again.")
        return None

    def start(self) -> None:
        self._failed_start = ""
        try:
            self._server.start_again(pause=self._pause)
        except EmbeddedServerError as error:
            self._failed_start = str(error)

    def point_to_output(self) -> str:
        lines = self._server.log.read_text(errors="replace").splitlines()[-_LINES_OF_LOG:]
        return "\n".join([f"The end of its log, {self._server.log}:", *lines])
