"""The load on a server: requests, figures of a load generator, and wrk, which sends as much as the server takes."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS_TO_ANSWER = 5.0

SCRIPT = """
local requests, position = {}, 0
init = function()
  local headers = {%(headers)s}
  for line in io.lines("%(requests)s") do
    local method, path, body = line:match("^(%%S+) (%%S+) ?(.*)$")
    table.insert(requests, wrk.format(method, path, headers, body ~= "" and body or nil))
  end
end
request = function() position = position %% #requests + 1; return requests[position] end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('\\nRESULT {"requests": %%d, "seconds": %%f, "errors": %%d, "p50_ms": %%f, "p99_ms": %%f}',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


class MissingTool(Exception):
    """A program that the benchmark needs and that is not installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; `body` is one line of JSON, or empty."""

    method: str
    path: str
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The figures of a load generator. Errors are answers other than 2xx, broken connections and timeouts.

    Past saturation the server takes fewer requests than are due, so that latency grows as long as the load lasts.
    """

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float
    is_past_saturation: bool = False

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def saturate(
    port: int, requests: Sequence[Request], *, headers: Mapping[str, str], seconds: int, connections: int
) -> Load:
    """Return the figures of wrk: each connection sends its next request when it has the answer to the last one."""
    with TemporaryDirectory() as folder:
        lines, script = Path(folder) / "requests", Path(folder) / "wrk.lua"
        lines.write_text("".join(f"{each.method} {each.path} {each.body}\n" for each in requests))
        header_lines = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
        script.write_text(SCRIPT % {"headers": header_lines, "requests": lines})
        command = [
            wrk(),
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            f"--timeout={SECONDS_TO_ANSWER:g}s",
            "-s",
            script,
        ]
        done = subprocess.run([*command, f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True)
    return Load(**json.loads(done.stdout.partition("RESULT ")[2]))


def wrk() -> str:
    """Return the path of wrk. Raises MissingTool."""
    program = shutil.which("wrk")
    if program is None:
        raise MissingTool("The benchmarks need wrk, which is no Python package: apt install wrk, or brew install wrk.")
    return program


def summary(latencies: Sequence[float], *, errors: int, seconds: float, is_past_saturation: bool = False) -> Load:
    """Return the figures of latencies in seconds."""
    ordered = sorted(latencies)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99))
    return Load(
        requests=len(ordered),
        seconds=seconds,
        errors=errors,
        p50_ms=p50,
        p99_ms=p99,
        is_past_saturation=is_past_saturation,
    )
