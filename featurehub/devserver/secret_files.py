"""Create passwords and keys once, in files that only their owner can read."""

import secrets
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace the file atomically, with mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    aside.touch(0o600, exist_ok=False)
    aside.write_text(text)
    aside.replace(path)


def read_or_make(path: Path) -> str:
    """Return the secret in `path`, which is created at the first call.

    It is safe in URLs and configuration files: letters, digits, - and _.
    """
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text()
