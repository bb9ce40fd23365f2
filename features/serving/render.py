"""Render answers: values as objects or as JSON, the reason for each missing value, and which values have expired."""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from featurehub.lib.clock import microseconds
from features.formulas.activity import MICROSECONDS_PER_SECOND
from features.online import layout
from features.online.hmget import Row
from features.serving.read_plan import ReadPlan

UNKNOWN, NO_VALUE, EXPIRED = "unknown", "no_value", "expired"
# Of values at a moment: nobody's were computed for it, so it is not known whether the customer had one.
NOT_COMPUTED = "not_computed"


@dataclass(slots=True)
class Values:
    """The answer to a read. `missing` gives the reason for each name that has its default because it has no value."""

    customer_id: str
    versions: Mapping[str, str]
    features: Mapping[str, float]
    missing: Mapping[str, str]
    computed_at: datetime | None
    source: str
    metadata: Mapping[str, dict[str, Any]]
    # The set by which they were read, as `churn_model:3`; None where names and versions were asked for.
    feature_set: str | None = None


# --- What is missing, and why -----------------------------------------------------------------------------------------


def missing_reasons(
    names: Iterable[str], *, registered: Mapping[str, str], present: Collection[str], expired: Collection[str]
) -> dict[str, str]:
    """Return the reason for each name that has no value to give.

    `registered`: name → type, of the names in the versions that are read. `present`: names with a stored value.
    `expired`: types whose values are older than their time to live.
    """
    reasons = {}
    for name in names:
        if name not in registered:
            reasons[name] = UNKNOWN
        elif name not in present:
            reasons[name] = NO_VALUE
        elif registered[name] in expired:
            reasons[name] = EXPIRED
    return reasons


def expired_types(row: Row, plan: ReadPlan, *, now: datetime) -> set[str]:
    """Return the types whose values in the row are older than their time to live."""
    expired = set()
    for feature_type, stamp in zip(plan.versions, row, strict=False):
        moment = layout.oldest_moment([stamp])
        lifetime = plan.lifetimes.get(feature_type)
        if lifetime is not None and moment is not None and (now - moment).total_seconds() > lifetime:
            expired.add(feature_type)
    return expired


# --- Values as objects ------------------------------------------------------------------------------------------------


def render_values(customer_id: str, *, row: Row, plan: ReadPlan, source: str) -> Values:
    """Return a row's values in the order asked, with defaults and reasons for the names without one."""
    texts = row[plan.values_at :]
    if None in texts or not plan.is_plain:
        return render_incomplete(customer_id, row=row, plan=plan, source=source)
    # One pass of a JSON parser makes the numbers and the dictionary.
    features = orjson.loads(plan.features_template % tuple(texts))
    types = len(plan.versions)
    computed_at = layout.oldest_moment(row[:types])
    metadata = {} if types == plan.values_at else metadata_in(row, plan)
    return Values(customer_id, plan.versions, features, {}, computed_at, source, metadata, plan.feature_set)


def render_incomplete(customer_id: str, *, row: Row, plan: ReadPlan, source: str) -> Values:
    """Return the answer where a name is not registered, asked for twice, without a value, or may have expired."""
    registered = plan.registered
    expired = expired_types(row, plan, now=datetime.now(UTC)) if plan.lifetimes else ()
    texts = dict(zip(registered, row[plan.values_at :], strict=True))
    present = {name for name, text in texts.items() if text is not None}
    missing = missing_reasons(plan.names, registered=registered, present=present, expired=expired)
    values: dict[str, float] = {name: orjson.loads(texts[name] or b"") for name in present if name not in missing}
    given = {registered[name] for name in values}
    stamps = [stamp for feature_type, stamp in zip(plan.versions, row, strict=False) if feature_type in given]
    return Values(
        customer_id,
        plan.versions,
        {name: values.get(name, plan.defaults.get(name, 0.0)) for name in plan.names},
        missing,
        layout.oldest_moment(stamps),
        source,
        metadata_in(row, plan),
        plan.feature_set,
    )


def metadata_in(row: Row, plan: ReadPlan) -> dict[str, dict[str, Any]]:
    """Return type → metadata, of the types that have values; empty where metadata was not asked for."""
    types = len(plan.versions)
    if types == plan.values_at:
        return {}
    held = zip(plan.versions, row, row[types : plan.values_at], strict=False)
    return {feature_type: orjson.loads(text) for feature_type, stamp, text in held if stamp and text}


# --- Values as JSON ---------------------------------------------------------------------------------------------------


def render_json(rows: Iterable[tuple[str, Row, str]], plan: ReadPlan) -> list[bytes]:
    """Return a JSON object for each (customer_id, row, source); `age_seconds` counts until now.

    Redis' texts are copied as they are: decimal strings are JSON's numbers, too (decision 5).
    """
    now_us = time.time_ns() // 1000
    types, values_at = len(plan.versions), plan.values_at
    moments: dict[bytes, tuple[bytes, bytes]] = {}  # many customers share a moment
    answers = []
    for customer_id, row, source in rows:
        values = row[values_at:]
        if None in values or not plan.is_plain:
            parsed = render_incomplete(customer_id, row=row, plan=plan, source=source)
            answers.append(orjson.dumps(values_as_dict(parsed, now_us=now_us), option=orjson.OPT_UTC_Z))
            continue
        moment = min(filter(None, row[:types]))[layout.STAMP_MOMENT]
        texts = moments.get(moment)
        if texts is None:
            texts = moments[moment] = (moment_as_json(moment), orjson.dumps(age_seconds(int(moment), now_us=now_us)))
        answers.append(plan.template % (orjson.dumps(customer_id), *values, *texts, source.encode()))
    return answers


# Customers of one chunk are computed at one moment, so the last moments are kept.
@lru_cache(maxsize=1_024)
def moment_as_json(text: bytes) -> bytes:
    """Return the moment of a stamp as JSON."""
    return orjson.dumps(layout.moment_of(text), option=orjson.OPT_UTC_Z)


def values_as_dict(values: Values, *, now_us: int) -> dict[str, Any]:
    """Return the object that answers a read, of values that are parsed."""
    computed_at = values.computed_at
    return {
        "customer_id": values.customer_id,
        **({} if values.feature_set is None else {"set": values.feature_set}),
        "versions": values.versions,
        "features": values.features,
        "missing": values.missing,
        "computed_at": computed_at,
        "age_seconds": None if computed_at is None else age_seconds(microseconds(computed_at), now_us=now_us),
        "source": values.source,
    }


def age_seconds(as_of_us: int, *, now_us: int) -> float:
    """Return the age of the oldest value, whose moment is in microseconds since 1970; never negative: clocks differ."""
    return max((now_us - as_of_us) / MICROSECONDS_PER_SECOND, 0.0)
