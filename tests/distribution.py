"""A pytest plugin (`-p tests.distribution`) that deals the files of tests out to the processes of `-n`.

The files with the longest tests come first, so that no process ends with one of them while the others have nothing left
to do. The end-to-end tests are in one process, since each process that has any runs a FeatureHub for them; those that
add 100,000 customers to it are apart, and begin in another process.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

END_TO_END = "tests/e2e/"
# It expects a FeatureHub that needs nothing from anybody, and later tests leave some things to do.
FIRST = "tests/e2e/test_overview.py"
APART = "tests/e2e/test_weights.py"
# What takes more than half a minute, in the order of its length. END_TO_END and APART begin at once, in two processes.
LONG = (
    FIRST,
    END_TO_END,
    APART,
    "tests/model/test_model.py",
    "tests/docs/test_roles.py",
    "tests/featurehub/test_celery.py",
    "tests/docs/test_pages.py",
    "tests/clients/test_generated_clients.py",
    "tests/test_backup_drill.py",
    "tests/events/test_import_memory.py",
    "tests/test_upgrade.py",
    "tests/featurehub/observability/test_traces.py",
    "tests/hostile/test_schemathesis.py",
    "tests/features/demo/test_loading.py",
)


class LongFilesFirst(LoadFileScheduling):
    """The files in the order of their collection, each in one process, and END_TO_END in one but for APART."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False  # not by the number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return END_TO_END if file.startswith(END_TO_END) and file != APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongFilesFirst:
    return LongFilesFirst(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place(item.nodeid))


def place(nodeid: str) -> int:
    """Return the place among LONG, by the longest that fits; all others come after them, as they were."""
    places = {start: number for number, start in enumerate(LONG) if nodeid.startswith(start)}
    return places[max(places, key=len)] if places else len(LONG)
