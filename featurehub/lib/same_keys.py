"""Refuse objects of JSON with the same key twice, of which a decoder takes the last without a word.

Only Python's own parser shows every key, at three times the cost of decoding. So two bounds are compared first: a text
has no key twice if it can't have more keys than were decoded from it.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from featurehub.lib.errors import InvalidError

# A wrong name is repeated up to this length.
LONGEST_NAME = 64
BYTES_AT_ONCE = 256 * 1024
BLANK, QUOTE, COLON = b' ":'
# What stands before a quote that begins a string, or is inside one. Few keys end in one of these.
BEFORE_OTHER_QUOTES = np.zeros(256, dtype=bool)
BEFORE_OTHER_QUOTES[list(b"{[:,\\")] = True


def most_keys(text: bytes) -> int:
    """Return a number that the keys in a JSON text do not exceed: of the colons after a quote or a blank.

    It is the number of the keys unless a string in the text begins with a colon, or has a quote or a blank before one.
    """
    keys = 0
    for block in blocks(text, overlap=1):
        before = block[:-1]
        keys += int(np.count_nonzero(((before == QUOTE) | (before <= BLANK)) & (block[1:] == COLON)))
    return keys


def fewest_keys(text: bytes) -> int:
    """Return a number that is not more than the keys in a JSON text without blanks: of the quotes that must end one.

    It is the number of the keys unless one is empty, or ends in what stands before quotes that end none.
    """
    keys = 0
    for block in blocks(text, overlap=2):
        quotes = np.flatnonzero((block[1:-1] == QUOTE) & (block[2:] == COLON))
        keys += len(quotes) - int(np.count_nonzero(BEFORE_OTHER_QUOTES[block[quotes]]))
    return keys


def blocks(text: bytes, *, overlap: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the characters of the text in blocks, each with so many of the next one."""
    characters = np.frombuffer(text, dtype=np.uint8)
    for start in range(0, len(text), BYTES_AT_ONCE):
        yield characters[start : start + BYTES_AT_ONCE + overlap]


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
