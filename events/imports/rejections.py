"""The rows that were not imported, listed beside the file they came from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from featurehub.lib.errors import InvalidError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """`number` counts the data rows from 1; `data` is the row, as far as its format could be read."""

    number: int
    error: InvalidError
    data: Any


class RejectedFile:
    """`FILE.rejected.jsonl`: there is one only where there is a rejected row; that of an earlier run goes."""

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
        """Appends a line: {"row", "attr", "reason", "data"}; `attr` is null where it is the row as a whole."""
        if self._file is None:
            # A lone surrogate, which UTF-8 lacks, is written as the escape that JSON has for it.
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
        line = {
            "row": rejection.number,
            "attr": rejection.error.attr,
            "reason": rejection.error.detail,
            "data": rejection.data,
        }
        self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
