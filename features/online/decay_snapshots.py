"""Decay snapshots as texts in Redis: what a renewal moves a customer's time-dependent values from.

The text of one customer and behavioral version, with one decaying feature and one input of a derived feature:

    1764104400000000,2871098123,42,1764100800000000,1764000000000000,3.25,12.0
    |                |          |  |                |                |    inputs, in the order of their names
    |                |          |  |                |                decaying values, in the order of the view
    |                |          |  |                last purchase, or NEVER
    |                |          |  timestamp of the history row
    |                |          id of the history row
    |                checksum of the names of the decaying values and inputs
    as_of of the computation that confirmed the row

Moments are microseconds since 1970 UTC; `null` stands for a missing number. Redis holds what PostgreSQL holds where the
computation is the customer's last one and the checksum is that of today's names.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
import orjson

from features.formulas.activity import NEVER, Floats, Ints
from features.formulas.decay import DecaySnapshot
from features.formulas.view import FeatureView


def decay_snapshot_texts(snapshot: DecaySnapshot, computations: Iterable[int | None]) -> list[str]:
    """Return the text of each row; `computations` are the moments of the computations that confirmed the rows."""
    columns = (
        snapshot.row_ids,
        snapshot.since_us,
        snapshot.last_purchase_us,
        *snapshot.decaying.values(),
        *snapshot.inputs.values(),
    )
    checksums = repeat(snapshot.names_checksum, len(snapshot.row_ids))
    rows = list(zip(computations, checksums, *(column.tolist() for column in columns), strict=True))
    # Written and taken apart as a whole, in a third of the time: a row has nothing but numbers.
    return orjson.dumps(rows).decode()[2:-2].split("],[") if rows else []


def parse_decay_snapshots(
    texts: Sequence[bytes | None], *, view: FeatureView, inputs: Sequence[str]
) -> tuple[Ints, DecaySnapshot]:
    """Return the moments of the computations, and the snapshot.

    The moment is NEVER where there is no text, or one written for other names.
    """
    decaying = [feature.name for feature in view.decaying]
    # 1. Replace what is absent, or has another number of parts, by a snapshot of nothing.
    nothing = b",".join([b"%d,0,0,0,%d" % (NEVER, NEVER), *(b"null" for _ in (*decaying, *inputs))])
    commas = nothing.count(b",")
    complete = [text if text is not None and text.count(b",") == commas else nothing for text in texts]
    # 2. Parse all numbers at once, or each text where one has no numbers, and divide them into columns.
    try:
        parsed = numbers(complete)
    except (ValueError, TypeError):  # no JSON; JSON of something else
        parsed = numbers([nothing if parts_of_snapshot(text) is None else text for text in complete])
    computations, checksums, row_ids, since_us, last_purchase_us, *values = parsed.reshape(len(texts), commas + 1).T
    # 3. Back to whole numbers. Doubles hold these exactly: they are below 2 ** 53, and NEVER is a power of two.
    snapshot = DecaySnapshot(
        row_ids=row_ids.astype(np.int64),
        since_us=since_us.astype(np.int64),
        last_purchase_us=last_purchase_us.astype(np.int64),
        decaying=dict(zip(decaying, values[: len(decaying)], strict=True)),
        inputs=dict(zip(inputs, values[len(decaying) :], strict=True)),
    )
    # 4. A snapshot of other names is none.
    is_of_these_names = checksums == snapshot.names_checksum
    return np.where(is_of_these_names, computations, NEVER).astype(np.int64), snapshot


def parts_of_snapshot(text: bytes | None) -> list[float] | None:
    """Return the numbers of one text, NaN for `null`; None where it is absent or something else has written it."""
    try:
        parts = None if text is None else orjson.loads(b"[%b]" % text)
    except orjson.JSONDecodeError:
        return None
    if not parts or not all(isinstance(part, int | float | None) for part in parts):
        return None
    return [np.nan if part is None else float(part) for part in parts]


def numbers(texts: Sequence[bytes | None]) -> Floats:
    """Return the numbers in comma-separated texts, NaN for `null` and for no text, in one pass of a JSON parser."""
    return np.array(orjson.loads(b"[%b]" % b",".join([text or b"null" for text in texts])), dtype=np.float64)
