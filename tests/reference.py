"""Reference implementations that tests compare results with."""

from datetime import UTC, datetime, timedelta

from features.formulas.activity import Floats

RFM_SCORE = "rfm_score"


def rfm_score(recency: Floats, *, frequency: Floats, monetary: Floats) -> Floats:
    """Return (recency + frequency + monetary) / 3, the derived 1.0 feature, without the expression evaluator."""
    return (recency + frequency + monetary) / 3.0


def parse_stamp(text: bytes) -> tuple[datetime, str]:
    """Return (as_of, version) of a stamp `MICROSECONDS ROW VERSION` as Redis holds it."""
    as_of_us, _, version = text.decode().split(" ")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(as_of_us)), version
