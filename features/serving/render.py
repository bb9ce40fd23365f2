"""The answers of reads as JSON, of Redis' texts as they are: decimal strings are JSON's numbers, too (decision 5)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from features.online import store
from features.serving.feature_store import Values, answer, find, question_of
from features.serving.read_plan import ReadPlan
from features.serving.usage import note_read


class Moments(dict[bytes, tuple[bytes, bytes]]):
    """The moment of a stamp → `computed_at` and `age_seconds` as JSON. Many customers were computed at one moment."""

    def __init__(self, *, now: datetime) -> None:
        self.now = now

    def __missing__(self, moment: bytes) -> tuple[bytes, bytes]:
        computed_at = store.moment_of(moment)
        age = age_seconds(computed_at, now=self.now)
        self[moment] = said = (orjson.dumps(computed_at, option=orjson.OPT_UTC_Z), orjson.dumps(age))
        return said


def values_as_json(
    customer_ids: Sequence[str], *, names: Sequence[str] | None, versions: Sequence[str], key_id: int
) -> list[bytes]:
    """What `get_feature_values` answers: a JSON object for each customer, `age_seconds` counted until now. It is noted
    which versions the API key has read."""
    question = question_of(names, versions=versions)
    note_read(key_id, question.versions)
    found = find(customer_ids, question)
    template, moments = template_of(question), Moments(now=datetime.now(UTC))
    types, values_at = len(question.versions), question.values_at
    texts = []
    for customer_id, row, source in found:
        values = row[values_at:]
        if None in values or not question.is_plain:
            parsed = answer(customer_id, row=row, question=question, source=source)
            texts.append(orjson.dumps(as_json(parsed, now=moments.now), option=orjson.OPT_UTC_Z))
        else:
            moment = moments[min(filter(None, row[:types]))[store.MOMENT]]
            texts.append(template % (orjson.dumps(customer_id), *values, *moment, source.encode()))
    return texts


@lru_cache(maxsize=256)
def template_of(question: ReadPlan) -> bytes:
    """The answer to the question where no value is missing, with a %b for each part that differs between customers."""
    features = b",".join([literal(name) + b":%b" for name in question.names])
    return (
        b'{"customer_id":%%b,"versions":%b,"features":{%b},"missing":{},'
        b'"computed_at":%%b,"age_seconds":%%b,"source":"%%b"}'
    ) % (literal(question.versions), features)


def literal(value: object) -> bytes:
    """JSON in a template."""
    return orjson.dumps(value).replace(b"%", b"%%")


def as_json(values: Values, *, now: datetime) -> dict[str, Any]:
    """The same of values that are parsed, with what is missing."""
    return {
        "customer_id": values.customer_id,
        "versions": values.versions,
        "features": values.features,
        "missing": values.missing,
        "computed_at": values.computed_at,
        "age_seconds": age_seconds(values.computed_at, now=now),
        "source": values.source,
    }


def age_seconds(computed_at: datetime | None, *, now: datetime) -> float | None:
    return None if computed_at is None else max((now - computed_at).total_seconds(), 0.0)
