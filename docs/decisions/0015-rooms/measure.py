"""Measure a checkout: modules per package, lines of files and functions, and the rooms that a cached read passes.

    python docs/decisions/0015-rooms/measure.py [FOLDER]

Prints a table of the packages in FOLDER (this checkout if left out). The read is measured by `trace_read.py`.
"""

import ast
import sys
from collections import Counter
from pathlib import Path
from statistics import median

PACKAGES = ("featurehub", "events", "features")


def modules(folder: Path) -> list[Path]:
    found = [path for package in PACKAGES for path in (folder / package).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts and path.stat().st_size]


def functions(path: Path) -> list[int]:
    """Return the lines of each function and method."""
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.end_lineno - node.lineno + 1 for node in ast.walk(tree) if isinstance(node, kinds)]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    files = modules(folder)
    lines = [len(path.read_text().splitlines()) for path in files]
    lengths = [length for path in files for length in functions(path)]
    rooms = Counter(path.parent.relative_to(folder).as_posix() for path in files)
    print(f"modules directly in features/   {rooms['features']}")
    print(f"modules directly in featurehub/ {rooms['featurehub']}")
    print(f"packages                        {len(rooms)}")
    print(f"most modules in one package     {max(rooms.values())} ({rooms.most_common(1)[0][0]})")
    print(f"files                           {len(files)}, median {median(lines):.0f} lines, longest {max(lines)}")
    print(f"files over 300 lines            {sum(length > 300 for length in lines)}")
    print(f"functions                       {len(lengths)}, median {median(lengths):.0f} lines, longest {max(lengths)}")
    print(f"functions over 25 / 50 lines    {sum(n > 25 for n in lengths)} / {sum(n > 50 for n in lengths)}")


if __name__ == "__main__":
    main()
