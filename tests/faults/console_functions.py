"""The functions of the console, on Django."""

from datetime import UTC, datetime
from typing import Any

from celery import current_app
from django.db import connection, connections

from features.formulas.behavioral import Weights
from features.lifecycle import weight_set_steps
from features.models import WeightSet
from features.registry.weight_sets import active_set
from tests.faults.console import serve


def main() -> None:
    functions = {function.__name__: function for function in (activate, schedule, weight_sets, stored, send)}
    serve(functions, after_each=connections.close_all)


def activate(weights: dict[str, list[float]], monetary_norm: float) -> int:
    """Activate a new set with these weights and norms. Return its id."""
    pk = draft(weights, monetary_norm=monetary_norm)
    weight_set_steps.activate(pk, by=None, reason="A fault test")
    return pk


def schedule(weights: dict[str, list[float]], monetary_norm: float, moment: str) -> int:
    """Schedule a new set for the moment. Return its id."""
    pk = draft(weights, monetary_norm=monetary_norm)
    at = datetime.fromisoformat(moment)
    weight_set_steps.schedule(pk, at=at, now=datetime.now(UTC), by=None, reason="A fault test")
    return pk


def draft(weights: dict[str, list[float]], *, monetary_norm: float) -> int:
    numbers = Weights(
        weight={event_type: weight for event_type, (weight, _) in weights.items()},
        norm={event_type: norm for event_type, (_, norm) in weights.items()},
        monetary_norm=monetary_norm,
    )
    return weight_set_steps.draft_weight_set(
        version="1.0", name="Faults", reason="A fault test", numbers=numbers, by=None
    ).pk


def weight_sets() -> dict[str, Any]:
    """Return the id of the active set, and the numbers of all sets by id."""
    return {
        "active": active_set("1.0").pk,
        "sets": {
            row.pk: [row.monetary_norm, {part.event_type: [part.weight, part.norm] for part in row.weights.all()}]
            for row in WeightSet.objects.prefetch_related("weights")
        },
    }


def stored(prefix: str) -> list[str]:
    """Return the ids of the events of customers whose id begins with the prefix, in plain SQL."""
    with connection.cursor() as cursor:
        cursor.execute("select event_id from events_event where starts_with(customer_id, %s)", [prefix])
        return [event_id for (event_id,) in cursor.fetchall()]


def send(names: list[str], times: int) -> None:
    """Send each of the tasks so many times."""
    for name in names:
        for _ in range(times):
            current_app.send_task(name, queue="batch")
