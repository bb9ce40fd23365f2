"""`python -m benchmarks.pages`: write the results into the pages that show them, between marks.

    <!-- results: serving in_process -->
    …
    <!-- end of results -->

Between the marks stands a table of the named files' rows, of those that have a goal or something beside them. No figure
of a result is written by hand, so that pages and results agree.
"""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, text

PROJECT = Path(__file__).resolve().parent.parent
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
BLOCK = re.compile(r"(<!-- results: ([\w ]+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
HEAD = "\n| work | figure | beside it | ratio | goal | met by the worst run |\n|---|---|---|---|---|---|\n"


def main() -> None:
    """Rewrite the pages whose tables differ from the results."""
    for page in PAGES:
        before = page.read_text()
        if (after := with_results(before)) != before:
            page.write_text(after)
            print(f"written to {page.relative_to(PROJECT)}")


def with_results(page: str) -> str:
    """Return the page with the tables of the current results between its marks."""
    return BLOCK.sub(lambda block: f"{block[1]}{markdown(block[2].split())}{block[3]}", page)


def markdown(names: list[str]) -> str:
    """Return the table of the results with these names, and the machines on which they were measured."""
    results = [row for name in names for row in json.loads((RESULTS / f"{name}.json").read_text())]
    shown = [row for row in results if row["goal"] or row["ratio"] is not None]
    machines = sorted({row["machine"] for row in shown})
    return f"{HEAD}{''.join(map(markdown_row, shown))}\nMeasured on {' and '.join(machines)}.\n\n"


def markdown_row(row: dict[str, Any]) -> str:
    """Return a line of the table."""
    unit = row["unit"]
    beside = row.get("peer", row.get("floor"))
    cells = (
        row["work"],
        f"{text(row['figure'])} {unit}",
        "" if beside is None else f"{text(beside)} {unit}",
        text(row["ratio"]),
        row["goal"],
        {True: "✓", False: "✗", None: ""}[row["met"]],
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
