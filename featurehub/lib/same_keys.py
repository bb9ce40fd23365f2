"""Refuse objects of JSON with the same key twice, of which a decoder takes the last without a word.

Only Python's own parser shows every key, at three times the cost of decoding. So two bounds are compared first: a text
has no key twice if it can't have more keys than were decoded from it.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from featurehub.lib.errors import InvalidError

# A wrong name is repeated up to this length.
LONGEST_NAME = 64
BLOCK = 256 * 1024
COLON, QUOTE = b':"'


def members_of(characters: Collection[int]) -> npt.NDArray[np.bool_]:
    """Return for every byte whether it is one of the characters."""
    is_one = np.zeros(256, dtype=bool)
    is_one[list(characters)] = True
    return is_one


# What can stand before the colon that follows a key: the end of the key, or a blank.
BEFORE_COLON = members_of(b'" \t\n\r')
# What stands before a quote that begins a string, or is inside one. Few keys end in one of these.
BEFORE_OTHER_QUOTES = members_of(b"{[:,\\")


def most_keys(text: bytes) -> int:
    """Return a number that the keys in a JSON text do not exceed: of the colons that may follow one.

    It is the number of the keys unless a string in the text begins with a colon, or has a quote or a blank before one.
    """
    return sum(int(np.count_nonzero(BEFORE_COLON[before])) for _, before in before_colons(text))


def fewest_keys(text: bytes) -> int:
    """Return a number that is not more than the keys in a JSON text without blanks: of the colons that must follow one.

    It is the number of the keys unless one is empty, or ends in what stands before quotes that end none.
    """
    return sum(
        int(np.count_nonzero((before == QUOTE) & ~BEFORE_OTHER_QUOTES[before_that]))
        for before_that, before in before_colons(text)
    )


def before_colons(text: bytes) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Yield the last character but one, and the last, before each colon of a JSON text, in blocks."""
    characters = np.frombuffer(text, dtype=np.uint8)
    for start in range(0, len(text), BLOCK):
        block = characters[start : start + BLOCK + 2]
        places = np.flatnonzero(block[2:] == COLON)
        yield block[places], block[places + 1]


def refuse_same_keys(text: bytes) -> None:
    """Raise InvalidError with `attr`, the key, where an object in a JSON text has the same key twice."""
    json.loads(text, object_pairs_hook=refuse_same_keys_of, parse_int=str, parse_float=str)


def refuse_same_keys_of(members: list[tuple[str, Any]]) -> None:
    """Raise InvalidError for an object with the same key twice. Return nothing in its place, which saves memory."""
    keys: set[str] = set()
    for key, _ in members:
        if key in keys:
            raise given_twice(key)
        keys.add(key)


def given_twice(key: str) -> InvalidError:
    """Return the error for a key that an object has twice."""
    return InvalidError("This key is given twice in one object.", attr=key[:LONGEST_NAME], code="duplicate_key")
