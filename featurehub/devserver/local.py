"""Complete the environment of a program on a developer's machine: unset variables get a value that works there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from featurehub.devserver import servers
from featurehub.devserver.secret_files import read_or_make
from featurehub.devserver.server import EmbeddedServerError, Server

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def local_environment() -> Iterator[Sequence[Server]]:
    """Set the unset variables in os.environ for the duration of the block, and keep the others.

    For DATABASE_URL and REDIS_URL, embedded servers in FEATUREHUB_LOCAL_DIR are started, or shared if they run. Yield
    these servers. Raise EmbeddedServerError if one can't be started.
    """
    folder = Path(os.environ.get("FEATUREHUB_LOCAL_DIR") or PROJECT / ".local").resolve()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _set(stack, FEATUREHUB_LOCAL_DIR=str(folder))
            _fill(stack, SECRET_KEY=read_or_make(folder / "secret_key"))
            _fill(stack, FEATUREHUB_TOMBSTONE_KEY=read_or_make(folder / "tombstone_key"))
            _fill(stack, ALLOWED_HOSTS="127.0.0.1,localhost,[::1]", FEATUREHUB_HTTPS="0", FEATUREHUB_PUBLIC_METRICS="1")
            _fill(stack, FEATUREHUB_LOG_FORMAT="text")
            unset = [name for name in servers.SERVERS if not os.environ.get(name)]
            _fill(stack, **stack.enter_context(servers.running_servers(folder, names=unset)))
        except PermissionError as error:
            raise EmbeddedServerError(
                f"{error.filename} belongs to another user: run as that user, "
                "or set FEATUREHUB_LOCAL_DIR to another folder."
            ) from error
        yield [servers.server_of(folder, name=name) for name in unset]


def _fill(stack: ExitStack, **values: str) -> None:
    """Set the variables that are unset or empty; an empty value counts as unset in the settings, too."""
    _set(stack, **{name: value for name, value in values.items() if not os.environ.get(name)})


def _set(stack: ExitStack, **values: str) -> None:
    for name, value in values.items():
        stack.callback(_restore, name, before=os.environ.get(name))
        os.environ[name] = value


def _restore(name: str, *, before: str | None) -> None:
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before
