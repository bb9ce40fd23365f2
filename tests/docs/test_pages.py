"""Every block of code of README.md and docs/ is run, on a running FeatureHub, or says that it is not and why."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import NOT_RUN, PAGES, PROJECT, RUN, SHOWN, Block, blocks_of, is_as_shown, tokens_of, typed_in
from tests.docs.prepared_pages import prepared
from tests.docs.runner import PageRun
from tests.e2e.conftest import Stack, running_stack

# Pages whose Python has a test of its own: tests/docs/test_notebook.py, clients/python/tests/test_documentation.py.
PYTHON_ELSEWHERE = ("notebook.md", "python-client.md")
# How many blocks are not run, by page. A new one needs a reason in its title, and a change here.
MARKED = {
    "README.md": 1,
    "docs/bulk-values.md": 2,
    "docs/contract.md": 1,
    "docs/deployment.md": 6,
    "docs/operations.md": 1,
    "docs/definitions-as-code.md": 1,
    "docs/production.md": 1,
    "docs/tutorial.md": 1,
}


def is_run(block: Block) -> bool:
    """Return whether this module runs or saves the block."""
    if block.language == "python" and block.page.name in PYTHON_ELSEWHERE:
        return False
    return not block.reason and (block.language in RUN or bool(block.file))


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PAGES_TO_RUN = [page for page in PAGES if any(is_run(block) for block in BLOCKS if block.page == page)]


@pytest.fixture(scope="module")
def docs_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an instance for this module: pages register features and write values."""
    with running_stack(tmp_path_factory.mktemp("docs"), log_name="docs.log") as stack:
        yield stack


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=[str(page.relative_to(PROJECT)) for page in PAGES_TO_RUN])
def test_the_blocks_of_the_page_do_what_it_says(docs_stack: Stack, page: Path, tmp_path: Path) -> None:
    with prepared(page.name, PageRun(docs_stack, tmp_path)) as run:
        for block in blocks_of(page):
            if is_run(block):
                run.run(block)


def test_every_block_is_run_or_says_why_not() -> None:
    assert {block.language for block in BLOCKS} <= {*RUN, *SHOWN}
    marked = [block for block in BLOCKS if block.reason]
    assert [block.place for block in marked if len(block.reason.split()) < 3] == []
    counted = Counter(str(block.page.relative_to(PROJECT)) for block in marked)
    assert counted == MARKED, "\n".join(f"{block.place}: {NOT_RUN}{block.reason}" for block in marked)


def test_no_block_escapes_by_being_indented_only() -> None:
    assert [
        f"{page.name}:{line}" for page in PAGES for kind, _, _, line in tokens_of(page) if kind == "code_block"
    ] == []


def test_most_blocks_are_run() -> None:
    runnable = [block for block in BLOCKS if block.language in RUN]
    assert len(runnable) > 60
    assert len([block for block in runnable if block.reason]) < len(runnable) / 5


def test_the_runner_knows_commands_their_output_and_what_differs() -> None:
    first, second = typed_in('$ curl -d \'{"a":\n  1}\' x\n{"accepted":1}\n$ ls \\\n  -a\n.\n')
    assert (first.command, first.expected) == ("curl -d '{\"a\":\n  1}' x", '{"accepted":1}')
    assert (second.command, second.expected) == ("ls \\\n  -a", ".")
    assert is_as_shown('{"a": 1,\n "b": 2.5}', expected='{"a":1, "b":…}')
    assert not is_as_shown('{"a": 1}', expected='{"a":2}')


def test_a_block_is_marked_by_its_title() -> None:
    block = Block(page=PROJECT / "README.md", line=1, language="sh", title="not run: it needs Docker here", code="")
    assert (block.reason, block.file) == ("it needs Docker here", "")
