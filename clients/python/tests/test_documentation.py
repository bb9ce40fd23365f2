"""The code of the README and of docs/python-client.md runs, one block after the other, on the real server."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Target
from featurehub_client.testing import FakeServer

PYTHON = Path(__file__).resolve().parents[1]
PAGES = [PYTHON / "README.md", PYTHON.parents[1] / "docs/python-client.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


# The pages take the server from the environment.
@pytest.mark.parametrize("target", ["real"], indirect=True)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_the_page_runs(page: Path, target: Target) -> None:
    blocks = blocks_of(page)
    assert blocks
    known: dict[str, Any] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), known)  # noqa: S102 - our own pages


def test_the_tests_of_the_page_pass(featurehub_server: FakeServer) -> None:
    known: dict[str, Any] = {}
    exec(compile(blocks_of(PAGES[1])[-1], PAGES[1].name, "exec"), known)  # noqa: S102 - our own pages
    with featurehub_server.client() as hub:
        known["test_engaged_customers_get_a_discount"](featurehub_server, hub)
    known["test_there_is_no_discount_while_featurehub_is_away"](FakeServer())
