"""Decay snapshots as texts in Redis: what a renewal moves a customer's time-dependent values from.

The text of one customer and behavioral version is base64 of 8-byte words: integers, and doubles as they are in memory:

    as_of of the computation that confirmed the row
    checksum of the names of the decaying values and of the inputs
    id of the history row
    timestamp of the history row
    timestamp of the last purchase, or NEVER
    decaying values, in the order of the view
    inputs, in the order of their names
    zeros, up to a multiple of three words

Moments are microseconds since 1970 UTC; NaN stands for a missing number. Redis holds what PostgreSQL holds where the
computation is the customer's last one and the checksum is that of today's names.

Three words are 32 characters without padding, so that the texts of many customers are written, or read, as one.
"""

import binascii
import re
from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np

from features.formulas.activity import NEVER, Ints
from features.formulas.decay import DecaySnapshot
from features.formulas.view import FeatureView

WORD = np.dtype("<i8")
DOUBLE_WORD = np.dtype("<f8")
# Numbers with commas between them.
OF_EARLIER_RELEASE = re.compile(rb"[-+.0-9enul]+(,[-+.0-9enul]+)+")
# So many words are integers; the others are doubles.
INTEGERS = 5
WORDS_AT_ONCE, THEIR_CHARACTERS = 3, 32


def decay_snapshot_texts(snapshot: DecaySnapshot, computations: Iterable[int | None]) -> list[str]:
    """Return the text of each row; `computations` are the moments of the computations that confirmed the rows."""
    computed_us = np.array([NEVER if moment is None else moment for moment in computations], dtype=WORD)
    columns: list[Ints] = [
        computed_us,
        np.full_like(computed_us, checksum_of_names(decaying=snapshot.decaying, inputs=snapshot.inputs)),
        snapshot.row_ids,
        snapshot.since_us,
        snapshot.last_purchase_us,
        *(values.view(WORD) for values in (*snapshot.decaying.values(), *snapshot.inputs.values())),
    ]
    columns += [np.zeros_like(computed_us)] * (padded(len(columns)) - len(columns))
    text, width = text_of(np.column_stack(columns)).decode(), characters_of(len(columns))
    return [text[begin : begin + width] for begin in range(0, len(text), width)]


def parse_decay_snapshots(
    texts: Sequence[bytes | None], *, view: FeatureView, inputs: Sequence[str]
) -> tuple[Ints, DecaySnapshot]:
    """Return the moments of the computations, and the snapshot.

    The moment is NEVER where there is no text, or one written for other names.
    """
    decaying = [feature.name for feature in view.decaying]
    width = padded(INTEGERS + len(decaying) + len(inputs))
    # 1. Replace what is absent, or of another length, by a snapshot of nothing.
    nothing = np.array([NEVER, 0, 0, 0, NEVER, *[0] * (width - INTEGERS)], dtype=WORD)
    text_of_nothing = text_of(nothing)
    complete = [text if text is not None and len(text) == len(text_of_nothing) else text_of_nothing for text in texts]
    # 2. Parse all at once, or each text where one is no snapshot. A snapshot of other names is none.
    try:
        words = words_in(b"".join(complete))
    except ValueError:
        words = words_in(b"".join([text_of_nothing if snapshot_words(text) is None else text for text in complete]))
    rows = words.reshape(len(texts), width)
    is_of_these_names = rows[:, 1] == checksum_of_names(decaying=decaying, inputs=inputs)
    # 3. Divide them into columns.
    columns = np.where(is_of_these_names, rows.T, nothing[:, np.newaxis])
    computations, _, row_ids, since_us, last_purchase_us = columns[:INTEGERS]
    values = columns[INTEGERS:].view(DOUBLE_WORD)
    return computations, DecaySnapshot(
        row_ids=row_ids,
        since_us=since_us,
        last_purchase_us=last_purchase_us,
        decaying=dict(zip(decaying, values, strict=False)),
        inputs=dict(zip(inputs, values[len(decaying) :], strict=False)),
    )


def checksum_of_names(*, decaying: Iterable[str], inputs: Iterable[str]) -> int:
    """Return the CRC-32 of the names of a snapshot's columns, in their order, with a `|` between the two kinds."""
    return crc32(" ".join((*decaying, "|", *inputs)).encode())


def text_of(words: Ints) -> bytes:
    """Return the joined texts of rows of words."""
    return binascii.b2a_base64(words.tobytes(), newline=False)


def snapshot_words(text: bytes | None) -> Ints | None:
    """Return the words of one text; None where it is absent or something else has written it."""
    try:
        return words_in(text) if text else None
    except ValueError:
        return None


def is_snapshot(text: bytes | None) -> bool:
    """Return whether this is a decay snapshot: one of today's, or of an earlier release, which renewals replace."""
    return snapshot_words(text) is not None or OF_EARLIER_RELEASE.fullmatch(text or b"") is not None


def words_in(texts: bytes) -> Ints:
    """Return the words of joined texts. Raise ValueError for something else."""
    words = np.frombuffer(binascii.a2b_base64(texts, strict_mode=True), dtype=WORD)
    if characters_of(len(words)) != len(texts):
        raise ValueError("Something else than a decay snapshot.")
    return words


def padded(words: int) -> int:
    """Return the number of words with those that fill it up."""
    return -(-words // WORDS_AT_ONCE) * WORDS_AT_ONCE


def characters_of(words: int) -> int:
    """Return the length of so many words as text; a multiple of three."""
    return words * THEIR_CHARACTERS // WORDS_AT_ONCE
