"""Reference implementations that tests compare results with."""

from features.formulas.activity import Floats

RFM_SCORE = "rfm_score"


def rfm_score(recency: Floats, *, frequency: Floats, monetary: Floats) -> Floats:
    """Return (recency + frequency + monetary) / 3, the derived 1.0 feature, without the expression evaluator."""
    return (recency + frequency + monetary) / 3.0
