"""Arguments and limits of what makes API keys, commands and forms."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from featurehub.lib.environment import whole_number

LARGEST_LIMIT = 2_147_483_647  # PostgreSQL's integer
LONGEST_DAYS = 3_650
# A rotated key stays valid for so long, if nobody says otherwise.
HOURS_OF_BOTH = 7 * 24


def whole(most: int, *, least: int = 1) -> Callable[[str], int]:
    """Return a parser of whole numbers in [least, most], which raises ArgumentTypeError for other texts."""

    def parse(text: str) -> int:
        try:
            return whole_number(least=least, most=most)(text)
        except ValueError:
            raise ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}") from None

    return parse


def add_expires_in_days(parser: ArgumentParser, *, key: str) -> None:
    """Add --expires-in-days, the end of the key that is made."""
    parser.add_argument(
        "--expires-in-days",
        type=whole(LONGEST_DAYS),
        metavar="N",
        help=f"end of the {key}; default: it does not expire",
    )


def in_days(days: int | None) -> datetime | None:
    """Return the moment in so many days, None for None."""
    return None if days is None else timezone.now() + timedelta(days=days)
