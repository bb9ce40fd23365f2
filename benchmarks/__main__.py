"""`python -m benchmarks [NAME …]`: run the benchmarks named (or all) and print tables.

Results are written to results/NAME.json, and from there into the pages that show them. BENCH_SCALE=10 makes each about
ten times as short, for trying it, and writes nothing.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.core.management import call_command

from benchmarks import pages, rows
from benchmarks.load import MissingTool, wrk
from benchmarks.machine import TooLittleDisk
from benchmarks.scale import SCALE
from benchmarks.servers import PROJECT, NotStarted
from featurehub.devserver import servers
from featurehub.devserver.server import EmbeddedServerError
from featurehub.front import FrontRefused, nginx

SUITES = tuple(sorted(path.stem for path in (Path(__file__).parent / "suites").glob("[a-z]*.py")))


# The benchmarks that need the programs that are no requirement of FeatureHub.
SENDING = {"serving", "growth", "feast_workload"}


def main() -> int:
    """Return the exit status: 0 where every benchmark ran, whether or not it met its goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITES))
    names = parser.parse_args().names or SUITES
    unknown = set(names) - set(SUITES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: {', '.join(SUITES)}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that every server is stopped
    try:
        if SENDING & set(names):
            wrk(), nginx()  # before work that would be in vain without them
        with own_servers():
            for name in names:
                measure(name)
    except (MissingTool, FrontRefused, NotStarted, TooLittleDisk, EmbeddedServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def own_servers() -> Iterator[None]:
    """Run embedded servers in `.local/benchmarks`, migrated. A DATABASE_URL that is set is ignored: it may be real."""
    folder = Path(os.environ.get("FEATUREHUB_LOCAL_DIR") or PROJECT / ".local").resolve() / "benchmarks"
    (folder / "static").mkdir(parents=True, exist_ok=True)
    with servers.running_servers(folder) as urls:
        os.environ |= urls
        os.environ |= {"CELERY_BROKER_URL": urls["REDIS_URL"], "FEATUREHUB_LOCAL_DIR": str(folder)}
        os.environ |= {"SECRET_KEY": "benchmarks", "ALLOWED_HOSTS": "127.0.0.1", "FEATUREHUB_HTTPS": "0"}
        os.environ["FEATUREHUB_TOMBSTONE_KEY"] = "benchmarks"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
        django.setup()
        call_command("migrate", verbosity=0)
        yield


def measure(name: str) -> None:
    """Run one benchmark, print its table, and write its results unless it was made shorter."""
    print(f"\n== {name}", flush=True)
    measured = importlib.import_module(f"benchmarks.suites.{name}").run()
    print(rows.table(measured), flush=True)
    if SCALE == 1:
        print(f"written to {rows.write(name, measured).relative_to(PROJECT)}", flush=True)
        pages.main()


if __name__ == "__main__":
    sys.exit(main())
