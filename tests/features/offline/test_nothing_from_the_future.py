"""Point-in-time reads against a journal in plain Python, with late events, corrections, and known-at.

Everything goes the way it goes in production: events are ingested, values computed from them, others sent by PATCH, and
all read by `features/as-of/` and by `build_training_set`. Amounts are powers of two, so that a sum tells which
purchases are in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.materialization import recompute
from features.materialization.locks import database_now
from features.offline.training_set import build_training_set
from tests.api_client import ApiClient
from tests.factories import make_purchase, store_events, url_of

WINDOW = timedelta(days=30)
# Longer than the window, so that purchases leave it. The latest comes first, to test that answers keep the order asked.
MOMENTS = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(45)][::-1]
SUM = "purchase_amount_30d"
WRITTEN = ("cart_value", "items_in_cart")

Values = dict[str, float]
# The step, the moment of the values, and the values.
Written = tuple[int, datetime, Values]

customers = count(1)
moments = st.sampled_from(MOMENTS)
steps = st.lists(
    st.tuples(st.just("buy"), st.lists(moments, min_size=1, max_size=3))
    | st.tuples(st.just("compute"), moments)
    | st.tuples(st.just("patch"), st.tuples(moments, st.sampled_from([WRITTEN[:1], WRITTEN[1:], WRITTEN]))),
    min_size=1,
    max_size=12,
)
Steps = Sequence[tuple[str, Any]]


@dataclass
class Journal:
    """The history of one customer in plain Python. At `known_at[n]` the first n steps were known.

    `bought`: amount → step, moment.
    """

    api: ApiClient
    customer_id: str = field(default_factory=lambda: f"customer-{next(customers)}")
    known_at: list[datetime] = field(default_factory=list)
    bought: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    computed: list[Written] = field(default_factory=list)
    patched: list[Written] = field(default_factory=list)

    def play(self, steps: Steps) -> "Journal":
        for step, (kind, what) in enumerate(steps):
            self.known_at.append(database_now())
            {"buy": self.buy, "compute": self.compute, "patch": self.patch}[kind](step, what)
        self.known_at.append(database_now())
        return self

    def buy(self, step: int, when: Sequence[datetime]) -> None:
        """Ingest purchases of any moments."""
        new = {2 ** (len(self.bought) + number): (step, moment) for number, moment in enumerate(when)}
        store_events(
            *(make_purchase(customer_id=self.customer_id, amount=a, timestamp=at) for a, (_, at) in new.items())
        )
        self.bought |= new

    def compute(self, step: int, as_of: datetime) -> None:
        """Compute the values at `as_of`: those of the purchases that have arrived and are in the window."""
        recompute.recompute_customers(customer_ids=[self.customer_id], as_of=as_of)
        total = sum(amount for amount, (_, moment) in self.bought.items() if as_of - WINDOW <= moment <= as_of)
        self.computed.append((step, as_of, {SUM: float(total)}))

    def patch(self, step: int, what: tuple[datetime, Sequence[str]]) -> None:
        """Set the named values at a moment; the others that held then are kept."""
        moment, names = what
        new = {name: float(step) for name in names}
        body = {"feature_type": "contextual", "version": "1.0", "features": new, "timestamp": moment.isoformat()}
        assert self.api.patch(url_of(self.customer_id), body).status_code == 200
        self.patched.append((step, moment, held(self.patched, at=moment) | new))

    def expected(self, known: int | None) -> list[Values]:
        """Return the values at MOMENTS for a reader that knows the first `known` steps; None: all."""
        return [held(self.computed, at=at, known=known) | held(self.patched, at=at, known=known) for at in MOMENTS]

    def read_by_api(self, known: int | None) -> list[Values]:
        """Return the values that `features/as-of/` gives."""
        body: dict[str, Any] = {
            "entities": [{"customer_id": self.customer_id, "timestamp": at.isoformat()} for at in MOMENTS],
            "names": [SUM, *WRITTEN],
        }
        if known is not None:
            body["known_at"] = self.known_at[known].isoformat()
        rows = self.api.post("/api/v1/features/as-of/", body).json()["results"]
        return [{name: row["features"][name] for name in row["features"] if name not in row["missing"]} for row in rows]

    def read_by_training_set(self, known: int | None, *, folder: Path) -> list[Values]:
        """Return the values that `build_training_set` gives."""
        labels, out = folder / "labels.csv", folder / "set.parquet"
        labels.write_text("customer_id,timestamp\n" + "".join(f"{self.customer_id},{at}\n" for at in MOMENTS))
        known_at = None if known is None else self.known_at[known]
        build_training_set(labels, out=out, names=[SUM, *WRITTEN], known_at=known_at)
        table = pq.read_table(out)
        assert table["timestamp"].to_pylist() == MOMENTS
        rows = table.select([SUM, *WRITTEN]).to_pylist()
        return [{name: value for name, value in row.items() if value is not None} for row in rows]


def held(rows: Sequence[Written], *, at: datetime, known: int | None = None) -> Values:
    """Return the values of the last moment that is not after `at`; of several at one moment, the last recorded ones."""
    before = [
        (moment, step, values) for step, moment, values in rows if moment <= at and (known is None or step < known)
    ]
    return max(before, key=lambda row: row[:2])[2] if before else {}


def in_order_of_time(steps: Steps) -> Steps:
    """Return the steps with ascending moments of computation; purchases and PATCHes keep any moments."""
    as_of = iter(sorted(what for kind, what in steps if kind == "compute"))
    return [(kind, next(as_of)) if kind == "compute" else (kind, what) for kind, what in steps]


@given(steps=steps.map(in_order_of_time), data=st.data())
def test_what_held_and_was_known_is_read_and_nothing_else(
    api: ApiClient, tmp_path_factory: pytest.TempPathFactory, steps: Steps, data: st.DataObject
) -> None:
    journal = Journal(api).play(steps)
    for known in (None, data.draw(st.integers(0, len(steps)))):
        expected = journal.expected(known)
        assert journal.read_by_api(known) == expected
        assert journal.read_by_training_set(known, folder=tmp_path_factory.mktemp("set")) == expected


@given(steps=steps, data=st.data())
def test_whatever_is_computed_of_the_past_in_whatever_order_holds_no_purchase_from_the_future(
    api: ApiClient, tmp_path_factory: pytest.TempPathFactory, steps: Steps, data: st.DataObject
) -> None:
    journal = Journal(api).play(steps)
    for known in (None, data.draw(st.integers(0, len(steps)))):
        read = journal.read_by_api(known)
        assert journal.read_by_training_set(known, folder=tmp_path_factory.mktemp("set")) == read
        for at, values in zip(MOMENTS, read, strict=True):
            counted = [one for amount, one in journal.bought.items() if int(values.get(SUM, 0)) & amount]
            assert all(moment <= at for _, moment in counted)
            assert all(known is None or step < known for step, _ in counted)
