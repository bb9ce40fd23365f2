"""A customer list as CSV: every row, in order, sent while it is read."""

from itertools import chain, islice

from django.http import StreamingHttpResponse
from django.utils import timezone

from featurehub.lib.batched import batched
from featurehub.lib.csv_export import csv_lines
from features.serving.customer_lists import CustomerList
from features.serving.list_pages import stream_list

ROWS_PER_PART = 1_000


def csv_response(asked: CustomerList) -> StreamingHttpResponse:
    """Return the list as a file to be saved. Raises InvalidError where its first rows take too long."""
    rows = stream_list(asked)
    # The first row is read before the answer begins, so that an error is still an answer of its own.
    first = list(islice(rows, 1))
    cells = ([row.customer_id, *row.values] for row in chain(first, rows))
    lines = csv_lines(["customer_id", *asked.names], cells)
    parts = ("".join(part) for part in batched(lines, ROWS_PER_PART))
    name = f"customers-{timezone.now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8", headers=headers)
