"""Label files: customers at moments, and what is to be learned of them, checked while they are read."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import IO

import pyarrow as pa

from events.validation import check_customer_id
from featurehub.files.text_files import NOT_CSV
from featurehub.lib.arrow_csv import MOMENT_TYPE, TEXT_TYPE
from featurehub.lib.clock import in_utc, parse_moment
from featurehub.lib.errors import InvalidError

ENCODING = "utf-8-sig"  # with or without a byte order mark
KEYS = {"customer_id": TEXT_TYPE, "timestamp": MOMENT_TYPE}


class Labels:
    """The labels of a CSV with a header.

    `schema` has customer_id and timestamp first, then the other columns as text. Raises InvalidError with the number of
    the invalid line: for the header at once, for another line when `batches` reaches it.
    """

    def __init__(self, file: IO[str]) -> None:
        """Read the header of a file that is open in ENCODING, with newline=""."""
        self._reader = csv.reader(file)
        self._header = next(self._rows(), [])
        missing = [name for name in KEYS if name not in self._header]
        if missing:
            raise InvalidError(f"The header has no column {' and no column '.join(missing)}.")
        twice = next((name for name in self._header if self._header.count(name) > 1), None)
        if twice is not None:
            raise InvalidError(f"The header has the column {twice} twice.")
        others = [(name, TEXT_TYPE) for name in self._header if name not in KEYS]
        self.schema = pa.schema([*KEYS.items(), *others])

    def batches(self, *, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the labels in their order, `rows` at a time."""
        customer, timestamp = (self._header.index(name) for name in KEYS)
        read: list[list[str]] = []
        moments: list[datetime] = []
        try:
            for row in self._rows():
                if len(row) != len(self._header):
                    raise InvalidError(f"It has {len(row)} values for {len(self._header)} columns.")
                check_customer_id(row[customer])
                moments.append(in_utc(parse_moment(row[timestamp], attr="timestamp"), attr="timestamp"))
                read.append(row)
                if len(read) == rows:
                    yield self._batch(read, moments=moments)
                    read, moments = [], []
        except InvalidError as error:
            raise InvalidError(f"Line {self._reader.line_num}: {error.detail}") from None
        if read:
            yield self._batch(read, moments=moments)

    def _rows(self) -> Iterator[list[str]]:
        """Yield the lines that are not empty.

        Raises InvalidError where the file is not UTF-8 or not CSV.
        """
        try:
            yield from filter(None, self._reader)
        except UnicodeDecodeError:
            raise InvalidError("The file is not UTF-8.") from None
        except csv.Error:
            raise InvalidError(f"It {NOT_CSV}") from None

    def _batch(self, rows: Sequence[Sequence[str]], *, moments: Sequence[datetime]) -> pa.RecordBatch:
        columns = dict(zip(self._header, zip(*rows, strict=True), strict=True))
        return pa.record_batch({**columns, "timestamp": moments}, schema=self.schema)
