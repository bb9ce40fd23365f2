"""System checks of the settings that protect erased customers."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

LEAST_CHARACTERS = 32


def check_tombstone_keys(**_: Any) -> list[CheckMessage]:
    """Return a warning where the newest key of tombstones can be guessed, or is another secret, too."""
    newest: str = settings.TOMBSTONE_KEYS[0]
    if len(newest) >= LEAST_CHARACTERS and newest != settings.SECRET_KEY:
        return []
    return [
        Warning(
            f"FEATUREHUB_TOMBSTONE_KEY must be a secret of its own, of {LEAST_CHARACTERS} random characters or more.",
            hint="Put a new key before the present one: operations.md, The key of tombstones.",
            id="events.W001",
        )
    ]
