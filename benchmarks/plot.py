"""A line chart as SVG, both axes logarithmic."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 640, 400, 60
COLOURS = ("#2563eb", "#dc2626", "#16a34a")


def line_chart(
    path: Path, lines: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x_name: str, y_name: str
) -> None:
    """Write the chart of `lines`: name → points (x, y), all above 0."""
    xs, ys = ([point[axis] for line in lines.values() for point in line] for axis in (0, 1))
    x_range, y_range = (min(xs), max(xs)), whole_decades(ys)
    parts = [
        text(WIDTH / 2, 24, title, size=16),
        text(WIDTH / 2, HEIGHT - 12, x_name),
        f'<g transform="rotate(-90 16 {HEIGHT / 2})">{text(16, HEIGHT / 2, y_name)}</g>',
        *grid(y_range),
        *(text(place(x, x_range, WIDTH), HEIGHT - MARGIN + 18, number(x), size=11) for x in sorted(set(xs))),
    ]
    for position, ((name, line), colour) in enumerate(zip(lines.items(), COLOURS, strict=False)):
        places = [(place(x, x_range, WIDTH), HEIGHT - place(y, y_range, HEIGHT)) for x, y in line]
        path_of = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path_of}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
        values = zip(places, line, strict=True)
        away = -9 if position == 0 else 18  # the first line's values above it, the others' below
        parts += [text(x, y + away, number(value), size=11, colour=colour) for (x, y), (_, value) in values]
        parts.append(text(WIDTH * (position + 1) / (len(lines) + 1), 46, name, colour=colour))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{svg}<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


def whole_decades(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around the values, so that a small change looks small."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def grid(y_range: tuple[float, float]) -> Iterator[str]:
    """Yield a line and its value at each power of ten."""
    low, high = (round(math.log10(bound)) for bound in y_range)
    for power in range(low, high + 1):
        y = HEIGHT - place(10.0**power, y_range, HEIGHT)
        yield f'<path d="M{MARGIN} {y:.1f} H{WIDTH - MARGIN}" stroke="#ddd"/>'
        yield text(MARGIN - 18, y + 4, number(10.0**power), size=11)


def number(value: float) -> str:
    """Return a number as text, to three digits."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def place(value: float, bounds: tuple[float, float], size: int) -> float:
    """Return the position of a value on an axis of `size`, between the margins."""
    low, high = (math.log(bound) for bound in bounds)
    share = (math.log(value) - low) / (high - low) if high > low else 0.5
    return MARGIN + share * (size - 2 * MARGIN)


def text(x: float, y: float, content: str, *, size: int = 13, colour: str = "#222") -> str:
    """Return an SVG text centred at x."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="middle">{content}</text>'
