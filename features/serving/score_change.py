"""The change of a customer's score between two moments, as parts that add up to it.

1. The counts at both moments under the earlier weights: what came into the window and left it, by event type.
2. The counts at the later moment under both weights: what the new weights do, by event type.
3. The cap: a score ends at 1, so what the contributions are beyond it counts at neither moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet

from events.models import Event
from features.formulas.activity import counts_in
from features.formulas.behavioral import Weights
from features.models import CustomerFeature, FeatureType, WeightSet
from features.offline.history import rows_holding
from features.registry.snapshot import registry_snapshot
from features.registry.weight_sets import activated_weights
from features.serving.explanation import SCORE, contributions, explained_types

EVENTS_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldScore:
    """The score that held at a moment, and the counts and weights that it was computed from, at `since`."""

    moment: datetime
    since: datetime
    score: float
    counts: Mapping[str, int]
    weight_set: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeChange:
    """The part of one event type in a change of the score.

    `contributions` are three: earlier counts and weights, later counts under the earlier weights, later counts and
    weights. `by_events` is the step from the first to the second, `by_weights` that from the second to the third.
    """

    event_type: str
    counts: tuple[int, int]
    contributions: tuple[float, float, float]

    @property
    def by_events(self) -> float:
        return self.contributions[1] - self.contributions[0]

    @property
    def by_weights(self) -> float:
        return self.contributions[2] - self.contributions[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """Parts that add up to a later score minus an earlier one, apart from the rounding of doubles.

    `cap_before` ≥ 0 is what was beyond 1 at the earlier moment, `cap_after` ≤ 0 minus what is beyond it at the later.
    """

    types: Sequence[TypeChange]
    cap_before: float
    cap_after: float

    @property
    def by_events(self) -> float:
        return sum(each.by_events for each in self.types)

    @property
    def by_weights(self) -> float:
        return sum(each.by_weights for each in self.types)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """The scores at two moments, and the parts of the difference. `asked` is earlier than the first score, or None."""

    before: HeldScore
    after: HeldScore
    parts: Decomposition
    asked: datetime | None

    @property
    def change(self) -> float:
        return self.after.score - self.before.score

    @property
    def fall(self) -> float:
        return -self.change


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMoves:
    """The events of one type between two scores: those that came, and those that left the window.

    `other` is what remains of the difference of the counts: events that arrived long after they happened, or that were
    not computed yet.
    """

    event_type: str
    counts: tuple[int, int]
    came: int
    left: int

    @property
    def other(self) -> int:
        return self.counts[1] - self.counts[0] - self.came + self.left


# --- The parts --------------------------------------------------------------------------------------------------------


def decompose(
    before: Mapping[str, int],
    after: Mapping[str, int],
    *,
    old_weights: Weights,
    new_weights: Weights,
    names: Sequence[str],
) -> Decomposition:
    """Return the parts of the change from the counts `before` under `old_weights` to `after` under `new_weights`.

    `names` are the event types to tell of, those of `explained_types`.
    """
    steps = [
        contributions(counts, weights=weights, names=names)
        for counts, weights in ((before, old_weights), (after, old_weights), (after, new_weights))
    ]
    by_type = zip(*(step["contributions"] for step in steps), strict=True)
    return Decomposition(
        types=[
            TypeChange(
                event_type=rows[0]["event_type"],
                counts=(rows[0]["count"], rows[2]["count"]),
                contributions=(rows[0]["contribution"], rows[1]["contribution"], rows[2]["contribution"]),
            )
            for rows in by_type
        ],
        cap_before=max(steps[0]["unclamped_score"] - 1.0, 0.0),
        cap_after=-max(steps[2]["unclamped_score"] - 1.0, 0.0),
    )


# --- A customer's change ----------------------------------------------------------------------------------------------


def score_change(customer_id: str, *, before: datetime, after: datetime) -> ScoreChange | None:
    """Return the change of the live score between two moments; None where there was no score at the later one.

    Where there was none at the earlier one, the change is counted from the first score.
    """
    later = held_score(customer_id, at=after)
    if later is None:
        return None
    earlier, asked = held_score(customer_id, at=before), None
    if earlier is None:
        first = score_rows(customer_id, until=after).last()
        assert first is not None
        earlier, asked = held_row(first, moment=first.timestamp), before
    old, new = activated_weights(earlier.weight_set), activated_weights(later.weight_set)
    names = explained_types(earlier.counts, later.counts, weights=[old, new])
    parts = decompose(earlier.counts, later.counts, old_weights=old, new_weights=new, names=names)
    return ScoreChange(before=earlier, after=later, parts=parts, asked=asked)


def score_rows(customer_id: str, *, until: datetime) -> QuerySet[CustomerFeature]:
    """Return the rows of the live version with a score, up to `until`, newest first."""
    version = registry_snapshot.get().live.get(FeatureType.BEHAVIORAL, "")
    return rows_holding(
        customer_id, name=SCORE, feature_type=FeatureType.BEHAVIORAL, version=version, since=None, until=until
    )


def held_score(customer_id: str, *, at: datetime) -> HeldScore | None:
    """Return the score that held at a moment; None before the first one."""
    row = score_rows(customer_id, until=at).first()
    return None if row is None else held_row(row, moment=at)


def held_row(row: CustomerFeature, *, moment: datetime) -> HeldScore:
    activity: Mapping[str, Any] = row.metadata["activity"]
    return HeldScore(
        moment=moment,
        since=row.timestamp,
        score=row.features[SCORE],
        counts=counts_in(activity),
        weight_set=row.metadata["weight_set"],
    )


# --- What happened in between -----------------------------------------------------------------------------------------


def event_moves(customer_id: str, change: ScoreChange) -> list[EventMoves]:
    """Return the events of each type that came into the window and left it between the two moments; one query."""
    came, left = came_between(change), left_between(change)
    rows = (
        Event.objects.filter(came | left, customer_id=customer_id)
        .values("event_type")
        .annotate(came=Count("pk", filter=came), left=Count("pk", filter=left))
    )
    found = {row["event_type"]: (row["came"], row["left"]) for row in rows}
    moves = [(each, found.get(each.event_type, (0, 0))) for each in change.parts.types]
    return [
        EventMoves(event_type=each.event_type, counts=each.counts, came=came, left=left) for each, (came, left) in moves
    ]


def listed_events(customer_id: str, change: ScoreChange) -> tuple[list[Event], list[Event]]:
    """Return the newest EVENTS_LISTED events that came between the two moments, and those that left the window."""
    events = Event.objects.filter(customer_id=customer_id).order_by("-timestamp")
    return list(events.filter(came_between(change))[:EVENTS_LISTED]), list(
        events.filter(left_between(change))[:EVENTS_LISTED]
    )


def came_between(change: ScoreChange) -> Q:
    """Return a filter of the events that happened after the first score was computed, and count in the second one."""
    window = timedelta(days=settings.WINDOW_DAYS)
    oldest = change.after.since - window
    after_first = Q(timestamp__gt=change.before.since, timestamp__lte=change.after.since)
    return after_first & Q(timestamp__gte=oldest)


def left_between(change: ScoreChange) -> Q:
    """Return a filter of the events that count in the first score and are too old for the second one."""
    window = timedelta(days=settings.WINDOW_DAYS)
    counted = Q(timestamp__gte=change.before.since - window, timestamp__lte=change.before.since)
    return counted & Q(timestamp__lt=change.after.since - window)


def weight_sets_between(change: ScoreChange) -> list[WeightSet]:
    """Return the sets by which the weights changed between the two scores, in the order of their activation."""
    if change.before.weight_set == change.after.weight_set:
        return []
    ends = WeightSet.objects.filter(pk__in=(change.before.weight_set, change.after.weight_set)).in_bulk()
    first, last = ends[change.before.weight_set], ends[change.after.weight_set]
    between = WeightSet.objects.filter(
        version=last.version, activated_at__gt=first.activated_at, activated_at__lte=last.activated_at
    )
    return list(between.select_related("activated_by", "version").order_by("activated_at", "pk"))
