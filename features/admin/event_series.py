"""The series of charts that show events by type."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from events.event_types import EVENT_TYPES
from events.registered_types import event_types
from featurehub.admin.chart import ChartSeries

Place = TypeVar("Place")
# As many further types as there are colours; the others are added up.
MOST_FURTHER_TYPES = 5


def role_of(event_type: str) -> str:
    """Return the role whose colour stands for a type: the first types have colours of their own."""
    return event_type if event_type in EVENT_TYPES else "plain"


def event_series(found: Mapping[str, Mapping[Place, int]], *, places: Sequence[Place]) -> list[ChartSeries]:
    """Return a series for each of the first types, then for the further types with the most events.

    `found` is event type → place, such as an hour → number of events.
    """
    order = {name: number for number, name in enumerate(event_types.get().names)}
    further = [name for name in found if name not in EVENT_TYPES and any(found[name].values())]
    further.sort(key=lambda name: (-sum(found[name].values()), name))
    shown = sorted(further[:MOST_FURTHER_TYPES], key=lambda name: order.get(name, len(order)))
    series = [
        ChartSeries(
            name=name.replace("_", " "),
            values=[found.get(name, {}).get(place, 0) for place in places],
            role=role_of(name),
        )
        for name in (*EVENT_TYPES, *shown)
    ]
    others = further[MOST_FURTHER_TYPES:]
    if others:
        values = [sum(found[name].get(place, 0) for name in others) for place in places]
        series.append(ChartSeries(name=f"{len(others)} other types", values=values))
    return series
