"""The windowed features in the activity statement: the value of each event, and the aggregates of the values.

An event contributes to a feature's column `wN` its value, which is 1 for a count. It contributes null where it does not
match, because aggregates ignore nulls. Texts of operators are parameters of the statement, never part of it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from featurehub.lib.batched import batched
from features.formulas.windowed import (
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

# Returns the placeholder of a parameter in a dialect.
Bind = Callable[[str], str]
WEIGHT = "power(cast(0.5 as {double}), least({age_days} * {rate}, {most_half_lives}))"
# A function of PostgreSQL takes 100 arguments, and a feature has two: its name and its values.
FEATURES_PER_OBJECT = 50
# Bounds of the half-lives per day, within which no age overflows or underflows.
SLOWEST, FASTEST = 1e-200, 1e200
DECAYING_VALUE = """cast(case when {value} is null then null when abs({value}) < {smallest} then 0
    else least(greatest({value}, -{largest_decaying}), {largest_decaying}) end as {double})"""
# A dialect converts the results of these to the nearest double.
AGGREGATES = {
    COUNT: "count({value})",
    SUM: "{sum}",
    MEAN: "{mean}",
    MAX: "max({value})",
    LAST: "{last}",
    DISTINCT: "count(distinct {value})",
}
DECAYED = {
    COUNT: "sum({value} * {weight})",
    SUM: "sum({decaying} * {weight})",
    MEAN: "sum({decaying} * {weight}) / sum(case when {value} is not null then {weight} end)",
}


def parameters(features: Sequence[WindowedFeature], *, as_of: datetime) -> dict[str, Any]:
    """Return the parameters of the statement: `wN_…` of the Nth feature, and `nothing`."""
    bound: dict[str, Any] = {"nothing": empty_windowed(features)} if features else {}
    for number, feature in enumerate(features):
        bound |= {f"w{number}_name": feature.name, f"w{number}_oldest": as_of - feature.window}
        if feature.event_type is not None:
            bound[f"w{number}_event_type"] = feature.event_type
        if feature.category is not None:
            bound[f"w{number}_category"] = feature.category
        if reads_metadata(feature):
            bound[f"w{number}_key"] = feature.metadata_key
    return bound


def empty_windowed(features: Sequence[WindowedFeature]) -> str:
    """Return the column `windowed` of a customer without a matching event."""
    return orjson.dumps([{feature.name: [0.0, None, None] for feature in features}]).decode()


def reads_metadata(feature: WindowedFeature) -> bool:
    """Return whether the feature's key is in the events' JSON.

    `amount` and `category` are columns of their own.
    """
    return feature.metadata_key not in (None, "amount", "category")


def value_columns_sql(features: Sequence[WindowedFeature], *, words: Mapping[str, str], bind: Bind) -> str:
    """Return SQL with a column `wN` for each feature: the value that an event contributes to it."""
    columns = [
        (match_sql(number, feature, bind=bind), value_sql(number, feature, words=words, bind=bind))
        for number, feature in enumerate(features)
    ]
    return "".join(f", case when {when} then {then} end as w{number}" for number, (when, then) in enumerate(columns))


def any_match_sql(features: Sequence[WindowedFeature], *, bind: Bind) -> str:
    """Return the SQL condition that an event matches any of the features."""
    return " or ".join(f"({match_sql(number, feature, bind=bind)})" for number, feature in enumerate(features))


def match_sql(number: int, feature: WindowedFeature, *, bind: Bind) -> str:
    """Return the SQL condition that an event is in the window, of the event type and of the category."""
    conditions = [f'"timestamp" >= {bind(f"w{number}_oldest")}']
    if feature.event_type is not None:
        conditions.append(f"event_type = {bind(f'w{number}_event_type')}")
    if feature.category is not None:
        conditions.append(f"category = {bind(f'w{number}_category')}")
    return " and ".join(conditions)


def value_sql(number: int, feature: WindowedFeature, *, words: Mapping[str, str], bind: Bind) -> str:
    """Return SQL for the value of a matching event.

    That is 1 without a metadata key, a number, or for a distinct count an expression that differs where values differ.
    """
    if feature.metadata_key is None:
        return "1"
    is_distinct = feature.kind == DISTINCT
    if not reads_metadata(feature):
        return words["no_number"] if feature.metadata_key == "category" and not is_distinct else feature.metadata_key
    return words["identity" if is_distinct else "number"].format(key=bind(f"w{number}_key"))


def aggregates_sql(features: Sequence[WindowedFeature], *, words: Mapping[str, str], bind: Bind) -> str:
    """Return SQL for the column `windowed`: JSON, a list of objects with name → [value, first_us, last_us]."""
    items = [
        words["item"].format(
            name=bind(f"w{number}_name"),
            value=f"coalesce({aggregate_sql(f'w{number}', feature, words=words)}, 0)",
            first=words["micros"].format(moment=f'min(case when w{number} is not null then "timestamp" end)'),
            last=words["micros"].format(moment=f'max(case when w{number} is not null then "timestamp" end)'),
        )
        for number, feature in enumerate(features)
    ]
    objects = [words["pack"].format(items=", ".join(part)) for part in batched(items, FEATURES_PER_OBJECT)]
    return "concat('[', " + ", ',', ".join(objects) + ", ']')"


def aggregate_sql(column: str, feature: WindowedFeature, *, words: Mapping[str, str]) -> str:
    """Return SQL for the aggregate of a feature's column: a double, null where there are no values."""
    if feature.half_life_days is None:
        shared = {name: words[name].format(value=column) for name in ("sum", "mean", "last")}
        return words["nearest"].format(number=AGGREGATES[feature.kind].format(value=column, **shared))
    weight = WEIGHT.format(
        rate=repr(min(max(1 / feature.half_life_days, SLOWEST), FASTEST)), most_half_lives=MOST_HALF_LIVES, **words
    )
    decaying = DECAYING_VALUE.format(
        value=column, smallest=repr(SMALLEST_DECAYING), largest_decaying=repr(LARGEST_DECAYING), **words
    )
    return DECAYED[feature.kind].format(value=column, weight=weight, decaying=decaying)
