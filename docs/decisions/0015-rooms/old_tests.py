"""Run the tests of an old commit on this tree, after the map of names is applied to them.

    python docs/decisions/0015-rooms/old_tests.py BASE FOLDER [arguments for pytest]

FOLDER must not exist: HEAD is cloned into it, and its tests are replaced by those of BASE. Run it with the Python of
the .venv. `names.toml` holds the map: names, texts that users read in other words, and parts of a few files.
"""

import subprocess
import sys
from pathlib import Path

from rename import Map, rewrite

HERE = Path(__file__).resolve().parent
# Imported by the package of both commits under one name: the comparison against plain Python.
KEPT = "tests/reference.py"


def main(base: str, folder: str, *arguments: str) -> int:
    """Clone HEAD into the folder, put the mapped tests of the base there and run them; return pytest's exit status."""
    repository = HERE.parents[2]
    target = Path(folder).resolve()
    subprocess.run(["git", "clone", "--quiet", str(repository), str(target)], check=True)
    subprocess.run(["rm", "-rf", str(target / "tests")], check=True)
    archive = subprocess.run(["git", "archive", base, "tests"], cwd=repository, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=target, input=archive.stdout, check=True)
    subprocess.run(["git", "checkout", "--quiet", "HEAD", "--", KEPT], cwd=target, check=True)

    names = Map(HERE / "names.toml")
    for path in sorted((target / "tests").rglob("*.py")):
        relative = path.relative_to(target).as_posix()
        if relative != KEPT:
            path.write_text(mapped(path.read_text(), relative, names))
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=target).returncode


def mapped(source: str, path: str, names: Map) -> str:
    """Return the source of an old test with the new names.

    Raises ValueError where an entry of the map is not in the file it was written for.
    """
    for old, new in names.files.get(path, []):
        if old not in source:
            raise ValueError(f"{path}: not found: {old!r}")
        source = source.replace(old, new)
    for old, new in names.texts.items():
        source = source.replace(old, new)
    return rewrite(source, names, own=path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
