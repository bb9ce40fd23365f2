"""Texts of decay snapshots: written and read without a loss, and taken for nothing where they are of something else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.formulas.activity import NEVER
from features.formulas.decay import DecaySnapshot
from features.formulas.view import FeatureView
from features.formulas.windowed import WindowedFeature
from features.online.decay_snapshots import decay_snapshot_texts, parse_decay_snapshots

whole = st.integers(NEVER, 2**63 - 1)
# Names of decaying values, names of inputs.
LAYOUTS = [((), ()), ((), ("a",)), ((), ("a", "b")), (("a",), ()), (("a",), ("b",)), (("a", "b"), ("c", "d"))]
# The computation, the integers of the snapshot, and more doubles than any layout has names.
rows = st.tuples(whole, whole, whole, whole, st.lists(st.floats(), min_size=4, max_size=4))


def view_of(decaying: tuple[str, ...]) -> FeatureView:
    windowed = {name: WindowedFeature(name=name, kind="sum", window_hours=24, half_life_days=1.0) for name in decaying}
    return FeatureView(
        feature_type="behavioral",
        number="1.0",
        names=decaying,
        time_to_live=None,
        formulas=(),
        inputs=(),
        windowed=windowed,
    )


def snapshot_of(
    held: list[tuple[int, int, int, int, list[float]]], decaying: tuple[str, ...], inputs: tuple[str, ...]
) -> DecaySnapshot:
    integers = np.array([row[:4] for row in held], dtype=np.int64).reshape(len(held), 4).T
    doubles = np.array([row[4] for row in held]).reshape(len(held), 4).T
    named = dict(zip((*decaying, *inputs), doubles, strict=False))
    return DecaySnapshot(
        row_ids=integers[1],
        since_us=integers[2],
        last_purchase_us=integers[3],
        decaying={name: named[name] for name in decaying},
        inputs={name: named[name] for name in inputs},
    )


@pytest.mark.parametrize(("decaying", "inputs"), LAYOUTS)
@given(held=st.lists(rows, min_size=1, max_size=4))
def test_what_is_read_is_what_was_written_to_the_last_bit(
    decaying: tuple[str, ...], inputs: tuple[str, ...], held: list[tuple[int, int, int, int, list[float]]]
) -> None:
    written = snapshot_of(held, decaying, inputs)
    texts: list[bytes | None] = [text.encode() for text in decay_snapshot_texts(written, (row[0] for row in held))]
    computations, read = parse_decay_snapshots([*texts, None], view=view_of(decaying), inputs=inputs)
    assert computations.tolist() == [*(row[0] for row in held), NEVER]
    assert read.row_ids[:-1].tolist() == written.row_ids.tolist()
    assert read.last_purchase_us.tolist() == [*written.last_purchase_us.tolist(), NEVER]
    assert read.since_us.tolist() == [*written.since_us.tolist(), 0]
    for name, values in {**written.decaying, **written.inputs}.items():
        found = {**read.decaying, **read.inputs}[name]
        assert found[:-1].tobytes() == values.tobytes()


@pytest.mark.parametrize("of", LAYOUTS)
@pytest.mark.parametrize("read_as", LAYOUTS)
def test_a_snapshot_of_other_names_or_kinds_is_none(
    of: tuple[tuple[str, ...], tuple[str, ...]], read_as: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    """A snapshot of a decaying `a`, and one of an input `a`, have as many words and the same name."""
    texts = decay_snapshot_texts(snapshot_of([(1, 2, 3, 4, [0.3, 0.25, 7.0, 8.0])], *of), [1])
    computations, read = parse_decay_snapshots([texts[0].encode()], view=view_of(read_as[0]), inputs=read_as[1])
    if of == read_as:
        assert computations.tolist() == [1]
    else:
        assert computations.tolist() == [NEVER]
        assert (read.row_ids.tolist(), read.since_us.tolist(), read.last_purchase_us.tolist()) == ([0], [0], [NEVER])
        assert [values.tolist() for values in (*read.decaying.values(), *read.inputs.values())] == [[0.0]] * len(
            (*read_as[0], *read_as[1])
        )
