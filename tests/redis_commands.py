"""What clients send to Redis, as the server sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from django_redis import get_redis_connection


@contextmanager
def redis_commands() -> Iterator[list[str]]:
    """A list that holds, after the block, the commands that clients sent in it (not those that scripts called)."""
    client = get_redis_connection("default")
    commands: list[str] = []
    first, last = f"first {uuid4()}", f"last {uuid4()}"
    with client.monitor() as monitor:
        client.echo(first)  # also connects anew, now that the monitor has its connection
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
