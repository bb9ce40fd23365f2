"""The geometry of the weight pages' pictures: figures in, numbers for inline SVG out."""

from collections.abc import Sequence
from dataclasses import dataclass

# The box that pictures are drawn in, in SVG units; y runs downwards.
WIDTH, HEIGHT = 400.0, 160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One part of the score's range, with a bar for each of the two sides."""

    low: float
    high: float
    before: int
    after: int
    x: float
    width: float
    before_height: float
    after_height: float

    @property
    def before_y(self) -> float:
        return HEIGHT - self.before_height

    @property
    def after_y(self) -> float:
        return HEIGHT - self.after_height

    @property
    def after_x(self) -> float:
        return self.x + self.width


def histogram(before: Sequence[int], after: Sequence[int]) -> list[Bin]:
    """Bars side by side, the tallest as high as the box."""
    tallest = max(*before, *after, 1)
    step = WIDTH / len(before)
    return [
        Bin(
            low=number / len(before), high=(number + 1) / len(before),
            before=old, after=new,
            x=round(number * step + 0.1 * step, 2), width=round(0.4 * step, 2),
            before_height=round(HEIGHT * old / tallest, 2), after_height=round(HEIGHT * new / tallest, 2),
        )
        for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]  # fmt: skip
