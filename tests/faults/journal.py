"""Everything that the workload has asked for and been told: what the checker judges. Moments are seconds since 1970."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request and how it ended; the status 0 stands for a connection that broke."""

    kind: str
    begun: float
    ended: float
    status: int
    retry_after: str | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@dataclass(slots=True, kw_only=True)
class SentEvent:
    """An event, the moment of its first sending, and that of its acknowledgement or refusal."""

    event_id: str
    customer: str
    event_type: str
    timestamp: float
    sent: float
    acknowledged: float = NEVER
    refused: float = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class SentValue:
    """A value that a client has written with PATCH; a customer's numbers only grow."""

    customer: str
    number: float
    sent: float
    acknowledged: float = NEVER


@dataclass(slots=True, kw_only=True)
class Erasure:
    """An erasure from its first sending on; `is_complete`: the receipt says that Redis holds nothing either."""

    customer: str
    sent: float
    acknowledged: float = NEVER
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A customer as a reader was shown it. `as_of` stands where only behavioral values were read."""

    customer: str
    begun: float
    ended: float
    features: Mapping[str, float]
    is_empty: bool
    as_of: float | None = None
    weight_set: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSetNumbers:
    """The numbers of a weight set: event type → (weight, norm)."""

    weights: Mapping[str, tuple[float, float]]
    monetary_norm: float


@dataclass(slots=True)
class Journal:
    """The records of one run of the workload. Threads append to the lists; none is changed otherwise."""

    requests: list[Request] = field(default_factory=list)
    events: list[SentEvent] = field(default_factory=list)
    values: list[SentValue] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    # How late a thread of the workload awoke: so long does the machine let a process wait for a processor.
    late: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Final:
    """What is there after the end: what readers are shown, the ids of the events stored, and the weight sets."""

    shown: list[Shown]
    event_ids: set[str]
    weight_sets: Mapping[int, WeightSetNumbers]
    active: int
