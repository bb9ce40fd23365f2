"""A customer list as CSV: every row, in order, sent while it is read, with an entry in the activity log."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.http import StreamingHttpResponse
from django.utils import timezone

from featurehub.lib.batched import batched
from featurehub.lib.csv_export import csv_lines
from featurehub.lib.humanize import measure
from features.models import Customer
from features.serving.customer_lists import CustomerList
from features.serving.list_pages import ListedCustomer, stream_list

ROWS_PER_PART = 1_000


def csv_response(asked: CustomerList, *, by: User, filters: str) -> StreamingHttpResponse:
    """Return the list as a file to be saved, and log who downloads it, with the filters in words.

    Raises InvalidError where its first rows take too long.
    """
    rows = logged_rows(asked, by=by, filters=filters)
    # The first row is read before the answer begins, so that an error is still an answer of its own.
    first = list(islice(rows, 1))
    name = f"customers-{timezone.now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"}
    parts = csv_parts(["customer_id", *asked.names], first=first, others=rows)
    return StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8", headers=headers)


def csv_parts(
    head: Sequence[str], *, first: Sequence[ListedCustomer], others: Generator[ListedCustomer]
) -> Iterator[str]:
    """Yield the file in parts. The rows are closed where nobody takes the rest, so that the log says so at once."""
    with closing(others):
        cells = ([row.customer_id, *row.values] for row in chain(first, others))
        for lines in batched(csv_lines(head, cells), ROWS_PER_PART):
            yield "".join(lines)


def logged_rows(asked: CustomerList, *, by: User, filters: str) -> Generator[ListedCustomer]:
    """Yield the rows of the list. The log has an entry from before the first row on, and their number at the end."""
    entry = LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(Customer),
        object_repr="Customer list",
        action_flag=CHANGE,
        change_message=f"Began to download the list as CSV: {filters}.",
    )
    rows = stream_list(asked)
    number, outcome = 0, "The download broke off after at most {}"
    try:
        for number, row in enumerate(rows, start=1):  # noqa: B007
            yield row
        outcome = "Downloaded {} as CSV"
    finally:
        rows.close()  # its transaction ends here, so that the entry is no part of it
        entry.change_message = f"{outcome.format(measure(number, 'customers'))}: {filters}."
        entry.save(update_fields=["change_message"])
