"""The WSGI application, with a switch of what observes its reads: that is all that is not needed for the answer.

Counts, times, ages, the id of the request. `GET /switch/off` and `/switch/on` answer with the CPU seconds of the
process so far, and `/switch/now` does nothing else. It is one process, since two of the same program differ by some
hundredths.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from benchmarks.servers import SWITCH
from featurehub.lib.traffic import Answer, Traffic
from featurehub.observability.ids import REQUEST_ID_HEADER
from featurehub.wsgi import application as observed

NO_HEADER = (REQUEST_ID_HEADER, "")
# What stands in for it; it replaces each of these, so that nothing of a read is counted, timed or named.
replaced = ExitStack()


class NoTraffic(Traffic):
    """Counts nothing."""

    def note_answer(self, answer: Answer, seconds: float) -> None:
        pass

    def note_hit(self) -> bool:
        return False


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as FeatureHub does, and switch."""
    path: str = environ["PATH_INFO"]
    if not path.startswith(SWITCH):
        return observed(environ, start_response)
    spent = time.process_time()
    if path != f"{SWITCH}now":
        replaced.close()
        if path == f"{SWITCH}off":
            switch_off()
        spent = time.process_time()
    start_response("200 OK", [])
    return [str(spent).encode()]


def switch_off() -> None:
    """Replace what observes reads by what does nothing."""
    nothing = NoTraffic()
    for place, substitute in {
        "featurehub.http.endpoints.traffic": nothing,
        "featurehub.http.endpoints.perf_counter": float,
        "featurehub.http.handler.begin_request": lambda environ: NO_HEADER,
        "features.serving.read_path.traffic": nothing,
    }.items():
        replaced.enter_context(patch(place, substitute))
