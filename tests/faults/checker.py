"""Judge a journal, in plain Python: nothing of FeatureHub is used, so that no error of it is repeated here.

Each function returns a sentence for each thing that is not as promised.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.journal import NEVER, Erasure, Final, Journal, Request, SentEvent, SentValue, Shown, WeightSetNumbers

SECONDS_AT_MOST = 2.0
# A request waits for a processor in the client, the front, the pool and the server, each as long as the client did.
TURNS = 4
VALUE = "cart_value"
# Event type → the feature that counts it.
COUNTS = {
    "page_view": "page_views_30d", "email_open": "email_opens_30d", "email_click": "email_clicks_30d",
    "form_submit": "form_submits_30d", "purchase": "purchases_30d", "login": "login_frequency",
}  # fmt: skip
GROWING = (*COUNTS.values(), VALUE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentences by kind; a run in which all is as promised has none."""

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    steps_back: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def by_kind(self) -> dict[str, list[str]]:
        kinds = ("lost", "wrong", "steps_back", "unseen", "answers")
        return {kind: getattr(self, kind) for kind in kinds if getattr(self, kind)}


def judge(journal: Journal, *, final: Final, allowed: Collection[int] = ()) -> Verdict:
    """Return the verdict on a run; `allowed` are statuses that this fault may cause besides the usual ones."""
    lasting = Lasting(journal.erasures)
    return Verdict(
        lost=[
            *lost_events(journal.events, stored=final.event_ids, lasting=lasting),
            *uncounted(journal.events, shown=final.shown, lasting=lasting),
            *lost_values(journal.values, shown=final.shown, lasting=lasting),
        ],
        wrong=[
            *counted_too_often([*journal.shown, *final.shown], events=journal.events),
            *never_written([*journal.shown, *final.shown], values=journal.values),
            *wrong_scores([*journal.shown, *final.shown], weight_sets=final.weight_sets),
            *mixed_weight_sets(final.shown, active=final.active),
            *back_again([*journal.shown, *final.shown], erasures=journal.erasures),
            *erased_but_there(final, journal=journal),
        ],
        steps_back=steps_back([*journal.shown, *final.shown], lasting=lasting),
        unseen=unseen(journal.shown, values=journal.values, lasting=lasting),
        answers=[
            *bad_answers(journal.requests, allowed=allowed),
            *long_waits(journal.requests, most=SECONDS_AT_MOST + TURNS * max(journal.late, default=0.0)),
        ],
    )


class Lasting:
    """Tell which customers nobody has begun to erase, by a moment or ever."""

    def __init__(self, erasures: Sequence[Erasure]) -> None:
        self._erased_from = {one.customer: one.sent for one in erasures}

    def includes(self, customer: str, *, until: float = NEVER) -> bool:
        return until < self._erased_from[customer] if customer in self._erased_from else True


# --- Answers ----------------------------------------------------------------------------------------------------------


def bad_answers(requests: Sequence[Request], *, allowed: Collection[int] = ()) -> list[str]:
    """Return the answers other than 2xx, 404, 503 with Retry-After, and the statuses allowed."""
    bad = Counter(
        f"{request.kind}: status {request.status}{'' if request.retry_after else ' without Retry-After'}"
        for request in requests
        if not is_good(request) and request.status not in allowed
    )
    return [sentence for sentence, number in bad.items() for _ in range(number)]


def is_good(request: Request) -> bool:
    return 200 <= request.status < 300 or request.status == 404 or (request.status == 503 and bool(request.retry_after))


def long_waits(requests: Sequence[Request], *, most: float) -> list[str]:
    return [
        f"{request.kind}: waited {request.seconds:.1f} s for status {request.status}"
        for request in requests
        if request.seconds > most
    ]


# --- What was acknowledged --------------------------------------------------------------------------------------------


def lost_events(events: Sequence[SentEvent], *, stored: Collection[str], lasting: Lasting) -> list[str]:
    """Return the acknowledged events that are not stored."""
    return [
        f"event {event.event_id} of {event.customer} was acknowledged and is not stored"
        for event in events
        if event.acknowledged < NEVER and lasting.includes(event.customer) and event.event_id not in stored
    ]


def uncounted(events: Sequence[SentEvent], *, shown: Sequence[Shown], lasting: Lasting) -> list[str]:
    """Return the counts in the end that lack acknowledged events."""
    acknowledged = Counter((event.customer, event.event_type) for event in events if event.acknowledged < NEVER)
    there = {one.customer: one.features for one in shown}
    return [
        f"{customer} has {number} acknowledged {event_type} and is shown {there[customer].get(COUNTS[event_type], 0)}"
        for (customer, event_type), number in acknowledged.items()
        if lasting.includes(customer) and there[customer].get(COUNTS[event_type], 0.0) < number
    ]


def lost_values(values: Sequence[SentValue], *, shown: Sequence[Shown], lasting: Lasting) -> list[str]:
    """Return the customers that are shown, in the end, an older value than the last one acknowledged."""
    last: dict[str, float] = {}
    for value in values:
        if value.acknowledged < NEVER:
            last[value.customer] = max(value.number, last.get(value.customer, 0.0))
    there = {one.customer: one.features for one in shown}
    return [
        f"{customer} was given {number:.0f} and is shown {there[customer].get(VALUE, 0.0):.0f}"
        for customer, number in last.items()
        if lasting.includes(customer) and there[customer].get(VALUE, 0.0) < number
    ]


# --- What was shown ---------------------------------------------------------------------------------------------------


def counted_too_often(shown: Sequence[Shown], *, events: Sequence[SentEvent]) -> list[str]:
    """Return the reads with more events than were sent, or than are dated, until the answer."""
    countable: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        countable[event.customer, COUNTS[event.event_type]].append(max(event.sent, event.timestamp))
    for moments in countable.values():
        moments.sort()
    return [
        f"{one.customer} is shown {one.features[name]:.0f} {name}, {possible} were possible"
        for one in shown
        for name in COUNTS.values()
        if one.features.get(name, 0.0) > (possible := bisect_right(countable.get((one.customer, name), []), one.ended))
    ]


def never_written(shown: Sequence[Shown], *, values: Sequence[SentValue]) -> list[str]:
    """Return the reads with a value that nobody had sent until the answer."""
    sent = {(value.customer, value.number): value.sent for value in values}
    return [
        f"{one.customer} is shown {VALUE} {number}, which nobody had sent"
        for one in shown
        if (number := one.features.get(VALUE, 0.0)) and sent.get((one.customer, number), NEVER) > one.ended
    ]


def steps_back(shown: Sequence[Shown], *, lasting: Lasting) -> list[str]:
    """Return the reads that show less than a read did that had ended before they began, once for each read."""
    series: dict[tuple[str, str], list[tuple[float, float, float, int]]] = defaultdict(list)
    for number, one in enumerate(shown):
        if lasting.includes(one.customer, until=one.ended):
            for name, value in measures(one):
                series[one.customer, name].append((one.begun, one.ended, value, number))
    found: dict[int, str] = {}
    for (customer, name), reads in series.items():
        highest = Highest((ended, value) for _, ended, value, _ in reads)
        for begun, _, value, number in reads:
            if value < (before := highest.before(begun)):
                found.setdefault(number, f"{customer}: {name} {value} after {before}, at {begun:.2f}")
    return list(found.values())


def measures(one: Shown) -> Iterator[tuple[str, float]]:
    """Yield what may only grow from one read to the next."""
    for name in GROWING:
        if name in one.features:
            yield name, one.features[name]
    if one.as_of is not None:
        yield "as_of", one.as_of


class Highest:
    """The highest of values that are known from a moment on, before any moment."""

    def __init__(self, values: Iterator[tuple[float, float]]) -> None:
        self._moments: list[float] = []
        self._highest: list[float] = []
        for moment, value in sorted(values):
            self._moments.append(moment)
            self._highest.append(max(value, self._highest[-1] if self._highest else -math.inf))

    def before(self, moment: float) -> float:
        """Return the highest value known before the moment, minus infinity where there is none."""
        place = bisect_right(self._moments, moment)
        return self._highest[place - 1] if place else -math.inf


def unseen(shown: Sequence[Shown], *, values: Sequence[SentValue], lasting: Lasting) -> list[str]:
    """Return the reads that show an older value than one that had been acknowledged before they began."""
    acknowledged: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for value in values:
        if value.acknowledged < NEVER:
            acknowledged[value.customer].append((value.acknowledged, value.number))
    highest = {customer: Highest(iter(numbers)) for customer, numbers in acknowledged.items()}
    return [
        f"{one.customer} is shown {VALUE} {one.features[VALUE]:.0f}, {before:.0f} was acknowledged, at {one.begun:.2f}"
        for one in shown
        if VALUE in one.features
        and one.customer in highest
        and lasting.includes(one.customer, until=one.ended)
        and one.features[VALUE] < (before := highest[one.customer].before(one.begun))
    ]


def wrong_scores(shown: Sequence[Shown], *, weight_sets: Mapping[int, WeightSetNumbers]) -> list[str]:
    """Return the vectors whose scores do not follow from their counts under the weight set that they name."""
    found = []
    for one in shown:
        if one.weight_set is None:
            continue
        if one.weight_set not in weight_sets:
            found.append(f"{one.customer} is scored under the unknown weight set {one.weight_set}")
            continue
        right = scores(one.features, numbers=weight_sets[one.weight_set])
        found += [
            f"{one.customer}: {name} {one.features[name]} is not {value} (weight set {one.weight_set})"
            for name, value in right.items()
            if not math.isclose(one.features[name], value, rel_tol=1e-9, abs_tol=1e-9)
        ]
    return found


def scores(features: Mapping[str, float], *, numbers: WeightSetNumbers) -> dict[str, float]:
    """Return the scores of the contract's section 3 that follow from the counts and the amount."""
    parts = [
        weight * min(features[COUNTS[event_type]] / norm, 1.0) for event_type, (weight, norm) in numbers.weights.items()
    ]
    frequency = min(features["purchases_30d"] / numbers.weights["purchase"][1], 1.0)
    monetary = min(features["purchase_amount_30d"] / numbers.monetary_norm, 1.0)
    return {
        "engagement_score": min(1.0, sum(parts)),
        "frequency_score": frequency,
        "monetary_score": monetary,
        "rfm_score": (features["recency_score"] + frequency + monetary) / 3.0,
    }


# --- In the end -------------------------------------------------------------------------------------------------------


def mixed_weight_sets(shown: Sequence[Shown], *, active: int) -> list[str]:
    """Return the customers that are scored, in the end, under another weight set than the active one."""
    return [
        f"{one.customer} is scored under the weight set {one.weight_set}, {active} is active"
        for one in shown
        if one.weight_set not in (None, active)
    ]


def back_again(shown: Sequence[Shown], *, erasures: Sequence[Erasure]) -> list[str]:
    """Return the reads of erased customers that show something though the receipt said that nothing was left.

    A receipt without a number of keys says that Redis is still to be cleared: in the end that has to be done, too.
    """
    gone = {one.customer: one.acknowledged if one.is_complete else NEVER for one in erasures}
    return [
        f"{one.customer} was erased and is shown {sum(1 for value in one.features.values() if value)} values "
        f"{one.begun - gone[one.customer]:.2f} s later"
        for one in shown
        if not one.is_empty and one.begun > gone.get(one.customer, NEVER)
    ]


def erased_but_there(final: Final, *, journal: Journal) -> list[str]:
    """Return the customers whose erasure was acknowledged and of whom something is left in the end."""
    erased = {one.customer for one in journal.erasures if one.acknowledged < NEVER}
    events = {event.customer for event in journal.events if event.event_id in final.event_ids}
    left = {one.customer for one in final.shown if not one.is_empty}
    return [f"{customer} was erased, and in the end something is left" for customer in sorted(erased & (events | left))]
