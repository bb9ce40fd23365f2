"""A fault: something that happens to a running FeatureHub, and the pace of the workload while it does."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.site import Site

APART, MAKE_RUN = "apart", "make run"
BOTH = (APART, MAKE_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between two activations and between two erasures, and the share of the events that are dated ahead.

    An activation publishes everybody, and so repairs what a fault has spoiled: usually there is one before the fault.
    """

    activations: float = 1_000.0
    erasures: float = 0.7
    ahead: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault by name; `act` returns when everything could be well again.

    `allowed` are the statuses that it may cause besides 2xx, 404 and 503; 0 is a connection that broke.
    """

    name: str
    act: Callable[[Site], None]
    allowed: frozenset[int] = frozenset()
    shapes: tuple[str, ...] = (APART,)
    pace: Pace = Pace()
    is_telling: bool = False  # one of the few that every run of the tests tries
