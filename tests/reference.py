"""Reference implementations that tests compare results with."""

from datetime import datetime

from features.formulas.activity import Floats
from features.online.layout import moment_of

RFM_SCORE = "rfm_score"


def rfm_score(recency: Floats, *, frequency: Floats, monetary: Floats) -> Floats:
    """Return (recency + frequency + monetary) / 3, the derived 1.0 feature, without the expression evaluator."""
    return (recency + frequency + monetary) / 3.0


def parse_stamp(text: bytes) -> tuple[datetime, str]:
    """Return (as_of, version) of a stamp that is not empty."""
    moment, _, version = text.split(b" ")
    return moment_of(moment), version.decode()
