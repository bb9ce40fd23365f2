#!/usr/bin/env python3
"""Django's commands. Where DATABASE_URL or REDIS_URL is unset they use the embedded servers of the local folder."""

import os
import signal
import sys
from contextlib import nullcontext
from types import FrameType

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from featurehub.devserver.local import local_environment
from featurehub.devserver.server import EmbeddedServerError


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
    has_servers = bool(os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"))
    signal.signal(signal.SIGTERM, _leave)
    try:
        with nullcontext() if has_servers else local_environment():
            execute_from_command_line(sys.argv)
    except (EmbeddedServerError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _leave(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that embedded servers are stopped on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
