"""List the rejected rows of an import in a file beside the imported one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from featurehub.lib.errors import InvalidError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A rejected row.

    `number` counts the data rows from 1. `data` is the row, as far as its format could be read.
    """

    number: int
    error: InvalidError
    data: Any


class RejectedFile:
    """The file `FILE.rejected.jsonl`, which exists only if a row was rejected.

    The file of an earlier run is deleted.
    """

    def __init__(self, imported: Path) -> None:
        self.path = imported.with_name(f"{imported.name}.rejected.jsonl")
        self.path.unlink(missing_ok=True)
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, rejection: Rejection) -> None:
        """Append a line {"row", "attr", "reason", "data"}.

        `attr` is null if the row as a whole is wrong.
        """
        if self._file is None:
            # A lone surrogate has no UTF-8 form: it is written as its JSON escape.
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
        line = {
            "row": rejection.number,
            "attr": rejection.error.attr,
            "reason": rejection.error.detail,
            "data": rejection.data,
        }
        self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
