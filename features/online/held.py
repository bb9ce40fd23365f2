"""Read everything that Redis holds of a version, trusting nothing: for checks of consistency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson

from features.formulas.activity import Bools, Floats, Ints
from features.formulas.view import FeatureView
from features.online import layout
from features.online.decay_snapshots import is_snapshot
from features.online.store import read_hashes
from features.registry.contents import Registry

Texts: TypeAlias = Sequence[bytes | None]
NO_STAMP = (-1, -1, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVersion:
    """The fields of one version in n hashes, as columns.

    `is_cached`: the hash is there. `is_known_empty`: the stamp is the known-empty marker. `is_stamped`: the stamp is of
    this version; its parts are `moments_us` and `row_ids`, −1 where it is not. `is_of_another_version`: the stamp is
    readable and of another version. `metadata` and `decay_snapshots` are None where they are absent or can't be read.
    `values`: name → column, NaN where there is none.
    """

    is_cached: Bools
    is_known_empty: Bools
    is_stamped: Bools
    is_of_another_version: Bools
    moments_us: Ints
    row_ids: Ints
    metadata: Sequence[Any]
    decay_snapshots: Texts
    values: Mapping[str, Floats]


def read_versions(
    customer_ids: Sequence[str], *, views: Sequence[FeatureView], known: Registry
) -> dict[FeatureView, HeldVersion]:
    """Return what Redis holds of these versions: one round trip for each kind of hash.

    Raises redis' ConnectionError or TimeoutError where it is away.
    """
    by_suffix: dict[str, list[FeatureView]] = {}
    for view in views:
        by_suffix.setdefault(layout.suffix_in(known, view), []).append(view)
    held: dict[FeatureView, HeldVersion] = {}
    for suffix, inside in by_suffix.items():
        fields = [field for view in inside for field in fields_of(view)]
        rows = read_hashes(customer_ids, fields, suffix=suffix)
        is_cached = np.array([any(text is not None for text in row) for row in rows], dtype=bool)
        columns = dict(zip(fields, zip(*rows, strict=True), strict=True))
        held |= {view: as_held(view, columns, is_cached=is_cached) for view in inside}
    return held


def fields_of(view: FeatureView) -> list[str]:
    """Return the fields of a version in its hash."""
    own = (layout.stamp_field, layout.metadata_field, layout.decay_snapshot_field)
    return [*(field(view.feature_type) for field in own), *view.names]


def as_held(view: FeatureView, columns: Mapping[str, Texts], *, is_cached: Bools) -> HeldVersion:
    """Return the version's columns, parsed."""
    stamps, metadata, snapshots, *values = (columns[field] for field in fields_of(view))
    parts = [parse_stamp(text) for text in stamps]
    return HeldVersion(
        is_cached=is_cached,
        is_known_empty=np.array([text == b"" for text in stamps], dtype=bool),
        is_stamped=np.array([version == view.number for _, _, version in parts], dtype=bool),
        is_of_another_version=np.array([version not in ("", view.number) for _, _, version in parts], dtype=bool),
        moments_us=np.array([moment for moment, _, _ in parts], dtype=np.int64),
        row_ids=np.array([row for _, row, _ in parts], dtype=np.int64),
        metadata=[parse_json(text) for text in metadata],
        decay_snapshots=[text if is_snapshot(text) else None for text in snapshots],
        values={
            name: np.array([parse_number(text) for text in column])
            for name, column in zip(view.names, values, strict=True)
        },
    )


def parse_stamp(text: bytes | None) -> tuple[int, int, str]:
    """Return the parts of a stamp, NO_STAMP where it is absent, empty or can't be read."""
    try:
        return layout.parts_of_stamp(text) if text else NO_STAMP
    except ValueError:
        return NO_STAMP


def parse_json(text: bytes | None) -> Any:
    """Return the document, None where there is none."""
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def parse_number(text: bytes | None) -> float:
    """Return the number, NaN where there is none."""
    try:
        return np.nan if text is None else float(text)
    except ValueError:
        return np.nan
