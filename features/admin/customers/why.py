"""The part of a customer's page that explains the change of the score between two moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from featurehub.admin.chart import Axis, Chart, ChartSeries
from featurehub.lib.clock import nearest_in_utc
from features.admin.event_series import role_of
from features.models import WeightSet
from features.registry.weight_sets import activated_weights
from features.serving.score_change import (
    EVENTS_LISTED,
    EventMoves,
    ScoreChange,
    event_moves,
    listed_events,
    score_change,
    weight_sets_between,
)

BY_DEFAULT = timedelta(days=7)
# What a datetime-local field shows; rounded up, so that a moment at which a score was recorded keeps that score.
IN_FIELD = "%Y-%m-%dT%H:%M:%S"
QUICK_CHOICES = (
    ("the last day", timedelta(days=1)),
    ("the last week", timedelta(days=7)),
    ("the last 30 days", timedelta(days=30)),
)


class MomentsForm(forms.Form):
    """Two moments, in UTC where they say no offset; empty ones are a week ago and now."""

    before = forms.DateTimeField(
        label="From (UTC)",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": "1"}),
        error_messages={"invalid": "Choose a day and a time."},
    )
    after = forms.DateTimeField(
        label="To (UTC)",
        required=False,
        help_text="Empty: now.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": "1"}),
        error_messages={"invalid": "Choose a day and a time."},
    )

    def moments(self, *, now: datetime) -> tuple[datetime, datetime]:
        """Return the two moments in their order, none of them later than now."""
        chosen = self.cleaned_data if self.is_valid() else {}
        after = min(nearest_in_utc(chosen.get("after") or now), now)
        before = min(nearest_in_utc(chosen.get("before") or now - BY_DEFAULT), now)
        return min(before, after), max(before, after)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeReason:
    """One part of the change, and where it comes from in words. `event_type` is empty for what is of no type."""

    name: str
    event_type: str
    change: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedWeight:
    """The weight and the norm of an event type, before and after, and what their change does to the score."""

    event_type: str
    weights: tuple[float, float]
    norms: tuple[float, float]
    by_weights: float


def why_context(customer_id: str, query: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the context of "Why it changed" for the moments that the page's address names."""
    asked = MomentsForm(query if "before" in query or "after" in query else None)
    before, after = asked.moments(now=now)
    change = score_change(customer_id, before=before, after=after)
    fields = {"before": in_field(before), "after": in_field(after) if query.get("after") else ""}
    shown = MomentsForm(initial=fields)
    context = {
        "why_form": asked if asked.errors else shown,
        "why_choices": [(words, quick_query(length, now=now)) for words, length in QUICK_CHOICES],
        "change": change,
    }
    if change is None:
        return context
    moves = event_moves(customer_id, change)
    came, left = listed_events(customer_id, change)
    sets = weight_sets_between(change)
    found = reasons(change, moves=moves, sets=sets)
    return {
        **context,
        "reasons": found,
        "why_chart": waterfall(change, found) if found else None,
        "main_reason": main_reason(found, change=change.change),
        "events_came": came,
        "events_left": left,
        "most_listed": EVENTS_LISTED,
        "weight_sets": sets,
        "changed_weights": changed_weights(change) if sets else [],
        "is_row_chosen": before == change.before.since and after == change.after.since,
    }


def waterfall(change: ScoreChange, found: Sequence[ChangeReason]) -> Chart:
    """Return the way from the earlier score to the later one."""
    ends = [f"{held.moment:%-d %b, %H:%M}" for held in (change.before, change.after)]
    return Chart(
        kind="waterfall",
        title="From one score to the other",
        labels=[ends[0], *(each.name for each in found), ends[1]],
        series=[
            ChartSeries(
                name="Score",
                values=[change.before.score, *(each.change for each in found), change.after.score],
                roles=["before", *(role_of(each.event_type) for each in found), "after"],
            )
        ],
        x=Axis(label="Part"),
        y=Axis(label="Score", decimals=3),
        notes=["", *(each.words for each in found), ""],
    )


def main_reason(found: Sequence[ChangeReason], *, change: float) -> ChangeReason | None:
    """Return the largest part in the direction of the change; None where the score is the same."""
    along = [each for each in found if each.change * change > 0]
    return max(along, key=lambda each: abs(each.change), default=None)


def changed_weights(change: ScoreChange) -> list[ChangedWeight]:
    """Return the event types whose weight or norm is different at the second moment."""
    old, new = activated_weights(change.before.weight_set), activated_weights(change.after.weight_set)
    rows = [
        ChangedWeight(
            event_type=each.event_type,
            weights=(old.weight_of(each.event_type), new.weight_of(each.event_type)),
            norms=(old.norm_of(each.event_type), new.norm_of(each.event_type)),
            by_weights=each.by_weights,
        )
        for each in change.parts.types
    ]
    return [row for row in rows if row.weights[0] != row.weights[1] or row.norms[0] != row.norms[1]]


def quick_query(length: timedelta, *, now: datetime) -> str:
    return urlencode({"before": in_field(now - length)})


def in_field(moment: datetime) -> str:
    """Return the moment as a field shows it, rounded up to the second."""
    up = moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)
    return up.astimezone(UTC).strftime(IN_FIELD)


def reasons(change: ScoreChange, *, moves: Sequence[EventMoves], sets: Sequence[WeightSet]) -> list[ChangeReason]:
    """Return the parts of the change that are not zero: what was above the cap, event types, weights, the cap."""
    parts = change.parts
    of_types = [
        ChangeReason(
            name=each.event_type.replace("_", " "),
            event_type=each.event_type,
            change=each.by_events,
            words=moves_in_words(moved),
        )
        for each, moved in zip(parts.types, moves, strict=True)
    ]
    names = ", ".join(str(row) for row in sets) or "another weight set"
    found = [
        ChangeReason(
            name="above 1 before", event_type="", change=parts.cap_before, words="was cut off at the first moment"
        ),
        *of_types,
        ChangeReason(name="new weights", event_type="", change=parts.by_weights, words=names),
        ChangeReason(name="cut off at 1", event_type="", change=parts.cap_after, words="a score ends at 1"),
    ]
    return [each for each in found if each.change]


def moves_in_words(moved: EventMoves) -> str:
    """Return what happened to the count: "12 came, 50 became too old: 50 → 12"."""
    words = []
    if moved.came:
        words.append(f"{moved.came:,} came")
    if moved.left:
        words.append(f"{moved.left:,} became too old to count")
    if moved.other:
        words.append(f"{abs(moved.other):,} {'arrived late' if moved.other > 0 else 'not computed yet'}")
    return f"{', '.join(words) or 'no difference'}: {moved.counts[0]:,} → {moved.counts[1]:,} counted"
