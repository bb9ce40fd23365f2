"""A customer list as CSV: every row, in order, sent while it is read."""

import csv
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

from featurehub.lib.batched import batched
from features.serving.customer_lists import CustomerList
from features.serving.list_pages import stream_list

ROWS_PER_PART = 1_000
# A spreadsheet computes a cell that begins so, wide forms included; an apostrophe before it makes it a text.
FORMULA = tuple("=+-@＝＋－＠\t\r\n")


class Echo:
    """A file whose `write` returns what is written, so that csv's writer returns its lines."""

    def write(self, text: str) -> str:
        return text


def safe_cell(text: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_response(asked: CustomerList) -> StreamingHttpResponse:
    """Return the list as a file to be saved. Raises InvalidError where its first rows take too long."""
    writer = csv.writer(Echo())
    rows = stream_list(asked)
    # The first row is read before the answer begins, so that an error is still an answer of its own.
    first = list(islice(rows, 1))

    def lines() -> Iterator[Any]:
        yield writer.writerow(["customer_id", *asked.names])
        for row in chain(first, rows):
            values = ("" if value is None else repr(value) for value in row.values)
            yield writer.writerow([safe_cell(row.customer_id), *values])

    parts = ("".join(part) for part in batched(lines(), ROWS_PER_PART))
    name = f"customers-{timezone.now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8", headers=headers)
