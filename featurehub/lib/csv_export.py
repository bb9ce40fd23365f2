"""CSV for spreadsheets: streamed line by line, and no cell can be taken for a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

# A spreadsheet takes a cell that begins with one of these, wide forms included, for a formula and runs it when the file
# is opened (OWASP).
BEGIN_FORMULAS = tuple("=+-@＝＋－＠\t\r\n")


class EchoFile:
    """A file that returns what is written to it, so that a writer's lines can be sent one by one."""

    def write(self, text: str) -> str:
        return text


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a CSV file with a head."""
    writer = csv.writer(EchoFile())
    for row in chain([head], rows):
        yield writer.writerow([defused(cell) for cell in row])


def defused(cell: object) -> object:
    """Return a text that would be a formula behind an apostrophe, which spreadsheets show as text; else the cell.

    Numbers stay numbers: only texts come from people and programs.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(BEGIN_FORMULAS) else cell
