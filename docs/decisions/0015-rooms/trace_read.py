"""Trace a cached read: which rooms its calls pass, in which order. Run by pytest in a checkout of either layout:

python -m pytest -q -s docs/decisions/0015-rooms/trace_read.py
"""

import sys
from types import FrameType
from typing import Any

import pytest

from tests.factories import make_client, make_customer, url_of

# Before the rooms, every module of `features` stood for itself.
ROOMS = 2


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:ROOMS])


@pytest.mark.django_db
def test_trace() -> None:
    make_customer("c1", page_view=3, purchase=1)
    client = make_client("read")
    url = url_of("c1") + "?names=engagement_score,purchases_30d,recency_score"
    for _ in range(3):
        assert client.get(url).json()["source"] == "cache"
    passed: list[str] = []
    stack: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith("features."):
            return
        if event == "call":
            stack.append(room_of(module))
            if not passed or passed[-1] != stack[-1]:
                passed.append(stack[-1])
        elif event == "return" and stack:
            stack.pop()
            if stack and passed[-1] != stack[-1]:
                passed.append(stack[-1])

    sys.setprofile(note)
    client.get(url)
    sys.setprofile(None)
    print("\n" + " → ".join(passed) + f"\n{len(passed) - 1} moves between rooms")
