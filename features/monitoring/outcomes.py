"""Checks of consistency in words."""

from features.models import ConsistencyCheck, Run
from features.monitoring.consistency import share_below

UNSETTLED = "could not be compared, because new values of theirs were on their way whenever they were looked at"


def outcome(check: ConsistencyCheck) -> str:
    """Return what the check found, in a sentence or two."""
    if check.run.state == Run.State.RUNNING:
        return f"{check.compared:,} customers compared so far, {check.wrong:,} of them wrong."
    if not check.compared:
        return "Nothing was compared."
    if check.is_everybody:
        return f"All {check.compared:,} customers were compared, and {wrong_in_words(check)}."
    return (
        f"Of {check.compared:,} random customers {wrong_in_words(check)}. With {share(check.confidence)} confidence, "
        f"fewer than {share(share_below(check))} of all customers are wrong."
    )


def wrong_in_words(check: ConsistencyCheck) -> str:
    if not check.wrong:
        return "none is wrong"
    return "1 is wrong" if check.wrong == 1 else f"{check.wrong:,} are wrong"


def beside(check: ConsistencyCheck) -> list[str]:
    """Return what else is to be said of the check: customers that were not compared, or not in Redis."""
    said = []
    if check.unsettled:
        said.append(f"{check.unsettled:,} more {UNSETTLED}.")
    if check.not_cached:
        said.append(
            f"Redis held no values of {check.not_cached:,} of them. That is no error: PostgreSQL answers in its place."
        )
    return said


def share(number: float) -> str:
    """Return a share as a percentage with two significant digits: 0.00123 → 0.12 %."""
    return f"{100 * number:.2g} %" if number < 0.995 else f"{100 * number:.4g} %"
