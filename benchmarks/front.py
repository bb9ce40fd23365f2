"""nginx in front of a server under test: the same configuration for each side, which buffers requests and answers."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.servers import Server, free_port, running
from featurehub.front import nginx

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/answers;
  fastcgi_temp_path {folder}/unused;
  uwsgi_temp_path {folder}/unused;
  scgi_temp_path {folder}/unused;
  client_body_buffer_size 1m;
  proxy_buffers 64 32k;
  upstream side {{ server 127.0.0.1:{behind}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_requests 1000000000;
    location / {{
      proxy_pass http://side;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


@contextmanager
def fronted(sides: Mapping[str, Server]) -> Iterator[dict[str, Server]]:
    """Run an nginx of its own before each side. Yield servers whose CPU time counts both."""
    with ExitStack() as stack:
        yield {side: stack.enter_context(front_of(server, side=side)) for side, server in sides.items()}


@contextmanager
def front_of(server: Server, *, side: str) -> Iterator[Server]:
    """Run nginx before one server."""
    folder = Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / f"front-{re.sub('[^a-z]+', '-', side.lower())}"
    folder.mkdir(exist_ok=True)
    configuration, port = folder / "nginx.conf", free_port()
    configuration.write_text(CONFIGURATION.format(folder=folder, behind=server.port, port=port))
    command = f"{nginx()} -c {configuration}"
    with running(folder.name, command=command, headers=server.headers, port=port) as front:
        yield replace(front, name=server.name, pids=(*server.pids, *front.pids))
