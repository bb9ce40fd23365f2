"""Files of imports in tests: what was rejected of one, and one that breaks off."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def rejected(path: Path) -> list[dict[str, Any]]:
    """Return the lines that list the rejected rows of a file; none where no row was rejected."""
    file = path.with_name(f"{path.name}.rejected.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def damage(path: Path, *, row_group: int, bytes_lost: int) -> None:
    """Overwrite the beginning of the first column of a Parquet file's row group."""
    content = bytearray(path.read_bytes())
    begin = pq.ParquetFile(path).metadata.row_group(row_group).column(0).data_page_offset
    content[begin : begin + bytes_lost] = bytes(bytes_lost)
    path.write_bytes(content)
