"""List the rejected rows of an import in a file beside the imported one."""

import json
from pathlib import Path
from typing import IO, Any, Self

from featurehub.lib.errors import InvalidError

# Of a rejected row's data, in characters. A longer row is found by its number.
DATA_LIMIT = 4096


def rejection_line(number: int, *, error: InvalidError, data: Any) -> bytes:
    """Return the line {"row", "attr", "reason", "data"} that lists a rejected row.

    `number` counts the data rows from 1; `attr` is null if the row as a whole is wrong. `data` is the row, as far as
    its format could be read: beyond DATA_LIMIT the beginning of its JSON as a text. The error itself is not kept, since
    an exception holds the frames that it passed.
    """
    shown = json.dumps(shortened(data), ensure_ascii=False, default=str)
    if len(shown) > DATA_LIMIT:
        shown = json.dumps(f"{shown[:DATA_LIMIT]}…", ensure_ascii=False)
    head = json.dumps({"row": number, "attr": error.attr, "reason": error.detail}, ensure_ascii=False)
    # A lone surrogate has no UTF-8 form: it is written as its JSON escape.
    return f'{head[:-1]}, "data": {shown}}}\n'.encode(errors="backslashreplace")


def shortened(value: Any) -> Any:
    """Return a row with the texts in it cut to DATA_LIMIT, so that no more than that is encoded of a cell."""
    if isinstance(value, str):
        return value[: DATA_LIMIT + 1]
    if isinstance(value, dict):
        return {name[:DATA_LIMIT]: shortened(part) for name, part in value.items()}
    return [shortened(part) for part in value] if isinstance(value, list | tuple) else value


class RejectedFile:
    """The file `FILE.rejected.jsonl`, which exists only if a row was rejected.

    The file of an earlier run is deleted.
    """

    def __init__(self, imported: Path) -> None:
        self.path = imported.with_name(f"{imported.name}.rejected.jsonl")
        self.path.unlink(missing_ok=True)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: bytes) -> None:
        """Append the line of a rejected row."""
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(line)
