"""Run FeatureHub on this machine, from an empty folder on, and stop everything at Ctrl-C: `make run`.

Programs and embedded servers that die are started again.
"""

import argparse
import http.client
import importlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured

from featurehub.devserver import servers
from featurehub.devserver.local import PROJECT, local_environment
from featurehub.devserver.output import say
from featurehub.devserver.restarts import ProcessEnded
from featurehub.devserver.server import EmbeddedServerError, is_free
from featurehub.devserver.servers import WatchedServer
from featurehub.devserver.supervisor import Stopped, Supervisor, die_with_parent
from featurehub.lib.environment import read_port

_SET_UP = {
    "migrate": ("Migrating the database", ["--noinput", "--verbosity=0"]),
    "collectstatic": ("Collecting static files", ["--noinput", "--verbosity=0"]),
    "bootstrap": ("Setting up the admin user, the API key and, on the first start, the demo data", []),
}
# After a run was killed, its web server takes a moment to release the port.
_SECONDS_FOR_A_PORT = 2.0
_SECONDS_BETWEEN_REQUESTS = 0.3
_SECONDS_UNTIL_A_WORD = 60.0


class StartRefused(Exception):
    """FeatureHub can't start; the message is a sentence that says how to solve that."""


def main() -> int:
    """Return the exit status: 0 after SIGINT or SIGTERM, 1 after a failure, 2 for a wrong setting."""
    options = _parse_arguments()
    if "MAKELEVEL" in os.environ:
        die_with_parent()
    try:
        run(options.procfile, set_up=not options.skip_set_up, first_delay=options.restart_after)
    except Stopped:
        return 0
    except KeyboardInterrupt:
        return 130
    except ProcessEnded:
        return 1
    except (StartRefused, EmbeddedServerError) as error:
        print(error, file=sys.stderr)
        return 1
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 2


def run(procfile: Path, *, set_up: bool, first_delay: float) -> NoReturn:
    """Run until an exception says why it ends; programs end before the servers that they use.

    What dies is started again, at first after `first_delay` seconds.
    """
    port = _free_port()
    programs = _read_procfile(procfile)
    supervisor = Supervisor()
    if not all(os.environ.get(name) for name in servers.SERVERS):
        say("Starting the embedded servers")
    with local_environment() as embedded:
        # Read all settings here, so that a wrong one is reported in one sentence, not by a traceback of each program.
        importlib.import_module("featurehub.settings")
        environment = _environment(port)
        with supervisor:
            if set_up:
                _set_up(supervisor, environment=environment)
            say("Starting " + ", ".join(programs))
            supervisor.start(programs, environment=environment, first_delay=first_delay)
            watched = [WatchedServer(one, pause=supervisor.pause, first_delay=first_delay) for one in embedded]
            supervisor.watch(watched, each_look=Readiness(port).look)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m featurehub.devserver.run", description=__doc__)
    parser.add_argument("--procfile", type=Path, default=PROJECT / "Procfile", help="the programs to run")
    parser.add_argument("--skip-set-up", action="store_true", help="no migrations, static files, admin and demo data")
    after = "seconds until a program or server that died is started again; the double for each time in a row"
    parser.add_argument("--restart-after", type=float, default=1.0, metavar="SECONDS", help=after)
    return parser.parse_args()


def _free_port() -> int:
    port = read_port()
    deadline = time.monotonic() + _SECONDS_FOR_A_PORT
    try:
        while not is_free(port):
            if time.monotonic() > deadline:
                other = next(other for other in range(8001, 65536) if is_free(other))
                raise StartRefused(f"PORT {port} is in use: stop the other program or start with PORT={other} make run")
            time.sleep(0.1)
    except PermissionError:
        raise StartRefused(f"PORT {port} is reserved for root: start with PORT=8000 make run") from None
    return port


def _read_procfile(path: Path) -> dict[str, str]:
    """Return the shell commands by name, from lines `name: command`."""
    lines = [line.partition(":") for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {name.strip(): command.strip() for name, _, command in lines}


def _environment(port: int) -> Mapping[str, str]:
    return {
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",  # usual in a container
        **os.environ,
        "PORT": str(port),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }


def _set_up(supervisor: Supervisor, *, environment: Mapping[str, str]) -> None:
    for command, (sentence, arguments) in _SET_UP.items():
        supervisor.pause()
        say(sentence)
        manage = [sys.executable, str(PROJECT / "manage.py"), command, *arguments]
        supervisor.run(command, command=manage, environment=environment)


class Readiness:
    """Report once that FeatureHub is ready, and every minute before that why it is not."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_ready = False
        self._next_request = time.monotonic()
        self._next_word = time.monotonic() + _SECONDS_UNTIL_A_WORD

    def look(self) -> None:
        now = time.monotonic()
        if self._is_ready or now < self._next_request:
            return
        answer = self._ask()
        self._is_ready = answer.startswith("200 ")
        self._next_request = now + _SECONDS_BETWEEN_REQUESTS
        if self._is_ready:
            address = f"http://127.0.0.1:{self._port}"
            say(f"FeatureHub is ready at {address}/ (admin: {address}/admin/, API: {address}/api/docs/)")
        elif now > self._next_word:
            self._next_word = now + _SECONDS_UNTIL_A_WORD
            say(f"FeatureHub is not ready yet: {answer}")

    def _ask(self) -> str:
        """Return the status and the body of /readyz.

        urllib is not used, since it would use a proxy from the environment.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return f"{answer.status} {answer.read(500).decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as error:
            return f"no answer on port {self._port} ({type(error).__name__})"
        finally:
            connection.close()


if __name__ == "__main__":
    sys.exit(main())
