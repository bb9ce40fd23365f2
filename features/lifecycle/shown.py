"""The contents of a version or weight set, as the page of a step shows them and as the step compares them.

A step gets what its person was shown, and refuses to act on anything else. Both are made by `shown_of`, so that what is
compared is what was displayed, to the last digit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from features.lifecycle.uses import RECENTLY, RETIRABLE, WORD_FOR, first_sets, pinning_sets, recent_uses
from features.models import FeatureDefinition, FeatureVersion, WeightSet
from features.registry.wording import definition_in_words

# Label → text, in the order of the page.
Shown: TypeAlias = Mapping[str, str]
CAN_GO_LIVE = (FeatureVersion.State.SHADOW, FeatureVersion.State.DEPRECATED)
SETS_HANDED_ON = "Weight sets that move to it as it goes live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A line whose text has changed. A text is empty where there is, or was, no such line."""

    label: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.label}: {self.before or 'none'} → {self.after or 'none'}"


def shown_of(row: FeatureVersion | WeightSet) -> dict[str, str]:
    """Return what the page of a step shows: the contents, and what a step puts them in the place of."""
    return contents_of(row) | circumstances_of(row)


def changes_between(before: Shown, after: Shown) -> list[Change]:
    """Return the lines that differ, in the order of the page."""
    return [
        Change(label=label, before=before.get(label, ""), after=after.get(label, ""))
        for label in dict.fromkeys([*after, *before])
        if before.get(label, "") != after.get(label, "")
    ]


def in_use(row: FeatureVersion | WeightSet) -> FeatureVersion | WeightSet | None:
    """Return the active set of the same version, or the live version of the same type; None where it is the row."""
    if isinstance(row, WeightSet):
        of_version = WeightSet.objects.filter(version=row.version_id, state=WeightSet.State.ACTIVE)
        return of_version.exclude(pk=row.pk).first()
    live = FeatureVersion.objects.filter(feature_type=row.feature_type, state=FeatureVersion.State.LIVE)
    return live.exclude(pk=row.pk).first()


# --- Contents -----------------------------------------------------------------------------------------------------


def contents_of(row: FeatureVersion | WeightSet) -> dict[str, str]:
    """Return a set's name and numbers, or a version's features, inputs and time to live."""
    if isinstance(row, WeightSet):
        return contents_of_set(row)
    features = {definition.name: definition_as_shown(definition) for definition in row.definitions.order_by("name")}
    inputs = {"Computed from": ", ".join(f"{name}:{number}" for name, number in sorted(row.inputs.items()))}
    seconds = row.time_to_live
    lifetime = "values do not expire" if seconds is None else f"values expire after {seconds:,} s"
    return features | (inputs if row.inputs else {}) | {"Time to live": lifetime}


def contents_of_set(weight_set: WeightSet) -> dict[str, str]:
    numbers = {}
    for row in weight_set.weights.order_by("pk"):
        event_type = row.event_type.replace("_", " ").capitalize()
        numbers[f"{event_type}: weight"] = exact(row.weight)
        numbers[f"{event_type}: norm"] = exact(row.norm)
    return {"Name": weight_set.name, **numbers, "Monetary norm": exact(weight_set.monetary_norm)}


def definition_as_shown(definition: FeatureDefinition) -> str:
    """Return a definition's meaning, with its default and its range."""
    least, most = definition.minimum, definition.maximum
    bounds = [f"at least {exact(least)}"] if least is not None else []
    bounds += [f"at most {exact(most)}"] if most is not None else []
    default = f"{exact(definition.default)} where there is no value"
    return "; ".join([definition_in_words(definition).rstrip("."), *bounds, default])


def exact(number: float) -> str:
    """Return the shortest text that stands for this double and no other: 0.3, 1000."""
    return repr(number).removesuffix(".0")


# --- Circumstances ------------------------------------------------------------------------------------------------


def circumstances_of(row: FeatureVersion | WeightSet) -> dict[str, str]:
    """Return what is in use now, the schedule of a set, and the weights and the users of a version."""
    used = in_use(row)
    if isinstance(row, WeightSet):
        moment = {"Scheduled for": f"{row.activate_at:%Y-%m-%d %H:%M} UTC"} if row.activate_at else {}
        return {"Active now": str(used or row), **moment}
    return {"Live now": str(used or row), **weights_around(row, live=used or row), **users_of(row)}


def weights_around(version: FeatureVersion, *, live: FeatureVersion | WeightSet) -> dict[str, str]:
    """Return a version's own weights or, of a draft, the live ones, which it is going to start with.

    Of a version that can go live, return also those that it would be handed with that: the weights in use now, and the
    sets of the live version that were never active.
    """
    sets = WeightSet.objects.filter(version__in=[version.pk, live.pk]).order_by("pk")
    active = sorted(sets.filter(state=WeightSet.State.ACTIVE), key=lambda found: found.version_id != version.pk)
    own = {"Weights": str(active[0])} if active else {}
    if len(active) < 2 or version.state not in CAN_GO_LIVE:
        return own
    carried = [f"{row}, {row.get_state_display().lower()}" for row in sets.filter(version=live.pk, activated_at=None)]
    return {**own, "Weights in use now": str(active[1]), **({SETS_HANDED_ON: "; ".join(carried)} if carried else {})}


def users_of(version: FeatureVersion) -> dict[str, str]:
    """Return which API keys would miss a version that can be retired, and which feature sets pin it."""
    if version.state not in RETIRABLE:
        return {}
    users = sorted({f"{use.api_key.name} ({WORD_FOR[use.kind]})" for use in recent_uses(version)})
    used = {f"Used in the last {RECENTLY.days} days by": ", ".join(users)} if users else {}
    sets = pinning_sets(version)
    return used | ({"Feature sets that pin it": first_sets(sets)} if sets else {})
