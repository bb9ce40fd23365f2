"""What the one statement has of windowed features: the value that each event brings, and what becomes of the values.

An event that does not match brings null, so that aggregates pass over it; for a count every matching one brings a 1.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from features.formulas import LARGEST
from features.windowed import (
    COUNT,
    DISTINCT,
    LARGEST_DECAYING,
    LAST,
    MAX,
    MEAN,
    MOST_HALF_LIVES,
    SMALLEST_DECAYING,
    SUM,
    WindowedFeature,
)

# How a dialect writes the parameter of a name.
Bind = Callable[[str], str]
WEIGHT = "power(cast(0.5 as {double}), least({age_days} / {half_life}, {most_half_lives}))"
DECAYING = """cast(case when {value} is null then null when abs({value}) < {smallest} then 0
    else least(greatest({value}, -{largest_decaying}), {largest_decaying}) end as {double})"""
AGGREGATES = {
    COUNT: "cast(count({value}) as {double})",
    SUM: "{total}",
    MEAN: "{total} / nullif(count({value}), 0)",
    MAX: "{clamped_max}",
    LAST: "{clamped_last}",
    DISTINCT: "cast(count(distinct {value}) as {double})",
}
DECAYED = {
    COUNT: "sum({value} * {weight})",
    SUM: "sum({decaying} * {weight})",
    MEAN: "sum({decaying} * {weight}) / sum(case when {value} is not null then {weight} end)",
}
# `least` and `greatest` pass over nulls.
CLAMPED = "cast(least(greatest(coalesce({inner}, 0), -{largest}), {largest}) as {double})"


def parameters(features: Sequence[WindowedFeature], *, as_of: datetime) -> dict[str, Any]:
    """What the statement's parameters stand for: `wN_oldest`, and what users typed."""
    bound: dict[str, Any] = {}
    for number, feature in enumerate(features):
        bound[f"w{number}_oldest"] = as_of - timedelta(days=feature.window_days)
        if feature.event_type is not None:
            bound[f"w{number}_event_type"] = feature.event_type
        if feature.category is not None:
            bound[f"w{number}_category"] = feature.category
    return bound


def values(features: Sequence[WindowedFeature], *, words: Mapping[str, str], bind: Bind) -> str:
    """A column for each feature: what an event brings to it."""
    return "".join(
        f",\n  case when {matches(number, feature, bind=bind)} then {value(feature, words=words)} end as w{number}"
        for number, feature in enumerate(features)
    )


def matches(number: int, feature: WindowedFeature, *, bind: Bind) -> str:
    """Whether an event is in the window, and of the type and category."""
    conditions = [f'"timestamp" >= {bind(f"w{number}_oldest")}']
    if feature.event_type is not None:
        conditions.append(f"event_type = {bind(f'w{number}_event_type')}")
    if feature.category is not None:
        conditions.append(f"category = {bind(f'w{number}_category')}")
    return " and ".join(conditions)


def value(feature: WindowedFeature, *, words: Mapping[str, str]) -> str:
    """What a matching event brings: a 1, a number, or for a distinct count a text that tells values apart."""
    if feature.metadata_key is None:
        return "1"
    if feature.kind == DISTINCT:
        columns = {"amount": words["identity_of_amount"], "category": "category"}
        return columns.get(feature.metadata_key) or words["identity_of_key"].format(key=feature.metadata_key, **words)
    columns = {"amount": "amount", "category": words["no_number"]}
    return columns.get(feature.metadata_key) or words["number_of_key"].format(key=feature.metadata_key)


def aggregates(features: Sequence[WindowedFeature], *, words: Mapping[str, str]) -> str:
    """The column `windowed`: JSON with [value, first_us, last_us] by name."""
    items = ", ".join(
        words["item"].format(
            name=feature.name,
            value=f"coalesce({aggregate(f'w{number}', feature, words=words)}, 0)",
            first=words["micros"].format(moment=f'min(case when w{number} is not null then "timestamp" end)'),
            last=words["micros"].format(moment=f'max(case when w{number} is not null then "timestamp" end)'),
        )
        for number, feature in enumerate(features)
    )
    return words["pack"].format(items=items)


def aggregate(column: str, feature: WindowedFeature, *, words: Mapping[str, str]) -> str:
    """What becomes of the values in a feature's column."""
    shared = {**words, "value": column, "largest": repr(LARGEST)}
    if feature.half_life_days is None:
        clamped = {
            "total": CLAMPED.format(inner=f"sum({column})", **shared),
            "clamped_max": CLAMPED.format(inner=f"max({column})", **shared),
            "clamped_last": CLAMPED.format(inner=words["last"].format(value=column), **shared),
        }
        return AGGREGATES[feature.kind].format(**clamped, **shared)
    limits = {"smallest": repr(SMALLEST_DECAYING), "largest_decaying": repr(LARGEST_DECAYING)}
    half_life = f"cast({feature.half_life_days!r} as {words['double']})"
    return DECAYED[feature.kind].format(
        weight=WEIGHT.format(half_life=half_life, most_half_lives=MOST_HALF_LIVES, **shared),
        decaying=DECAYING.format(**limits, **shared),
        **shared,
    )


def nothing(features: Sequence[WindowedFeature]) -> str:
    """The column `windowed` of a customer without an event."""
    return orjson.dumps({feature.name: [0.0, None, None] for feature in features}).decode()
