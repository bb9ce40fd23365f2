"""Commands that Redis receives from clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from django_redis import get_redis_connection


@contextmanager
def redis_commands() -> Iterator[list[str]]:
    """Yield a list of the commands that clients sent within the block; commands of scripts are left out.

    The list is filled at the end of the block.
    """
    client = get_redis_connection("default")
    commands: list[str] = []
    first, last = f"first {uuid4()}", f"last {uuid4()}"
    with client.monitor() as monitor:
        client.echo(first)  # opens a new connection too, as the monitor has taken the other
        yield commands
        client.echo(last)
        sent = (message["command"] for message in monitor.listen() if message["client_type"] != "lua")
        for command in sent:
            if first in command:
                commands.clear()
            elif last in command:
                return
            else:
                commands.append(command)
