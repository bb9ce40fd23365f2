"""The numbers of docs/formulas.md are those that the code computes of the events that the page makes."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from features.formulas.activity import MICROSECONDS_PER_DAY
from features.formulas.windowed import WindowedFeature, decayed
from tests.api_client import ApiClient
from tests.docs.blocks import PROJECT, blocks_of

PAGE = PROJECT / "docs/formulas.md"
TEXT = PAGE.read_text()
HALF_LIFE = WindowedFeature(
    name="amount", kind="sum", event_type="purchase", metadata_key="amount", window_hours=720, half_life_days=15.0
)


def table(first: str) -> list[list[str]]:
    """Return the cells of the table whose first two columns have these titles."""
    found = re.search(rf"^\| {re.escape(first)} .*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert found is not None, first
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


@pytest.fixture
def computed(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the page's block up to its request, and return the answer to that."""
    monkeypatch.setenv("FEATUREHUB_URL", "")
    (block,) = [block for block in blocks_of(PAGE) if block.language == "python"]
    page: dict[str, Any] = {}
    exec(block.code.partition("answer = ")[0], page)  # noqa: S102 - the page's own code
    body = {"events": page["events"], "as_of": page["as_of"].isoformat()}
    answer: dict[str, Any] = api.post("/api/v1/features/compute/", body).json()
    return answer


def test_each_value_is_what_the_code_computes(computed: dict[str, Any]) -> None:
    values = {**computed["features"], **computed["derived"]}
    shown = {name: float(value) for name, _, value in table("feature | worked out")}
    assert shown.keys() == values.keys()
    assert shown == pytest.approx(values, abs=5e-5)


def test_each_contribution_is_what_the_code_computes(computed: dict[str, Any]) -> None:
    rows = {name: [float(cell) for cell in cells] for name, *cells in table("event type | n | norm")}
    contributions = {each["event_type"]: each for each in computed["metadata"]["contributions"]}
    fields = ("count", "norm", "normalised", "weight", "contribution")
    assert rows == {name: pytest.approx([each[field] for field in fields]) for name, each in contributions.items()}
    assert sum(float(row[-1]) for row in rows.values()) == pytest.approx(computed["features"]["engagement_score"])


def test_the_counts_are_those_of_the_events(computed: dict[str, Any]) -> None:
    activity = computed["metadata"]["activity"]
    assert {name: int(number) for name, number, _ in table("event type | n | of these")}.items() <= activity.items()


def test_the_half_life_is_that_of_the_code() -> None:
    def after(amount: float, days: float) -> float:
        elapsed = np.array([int(days * MICROSECONDS_PER_DAY)])
        return float(decayed(HALF_LIFE, np.array([amount]), elapsed_us=elapsed)[0])

    check_half_lives(after)


def check_half_lives(after: Callable[[float, float], float]) -> None:
    total = 0.0
    for amount, age, factor, counts in table("purchase | age"):
        days = float(age.removesuffix(" days"))
        assert float(factor) == pytest.approx(after(1.0, days), abs=5e-5)
        assert float(counts) == pytest.approx(after(float(amount), days), abs=5e-3)
        total += after(float(amount), days)
    assert f"The value is {total:.2f}. A day later it is {total:.2f} × 0.5^(1 / 15) = {after(total, 1):.2f}" in TEXT
    assert f"1 − 7 / 30 = {1 - 7 / 30:.4f}" in TEXT
