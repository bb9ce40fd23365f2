"""A line chart as SVG, both axes logarithmic."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 640, 400, 60
COLOURS = ("#2563eb", "#dc2626", "#16a34a")


def line_chart(
    path: Path, lines: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x_name: str, y_name: str
) -> None:
    """`lines`: name → points, all above 0."""
    points = [point for line in lines.values() for point in line]
    x_range, y_range = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    parts = [
        text(WIDTH / 2, 24, title, size=16),
        text(WIDTH / 2, HEIGHT - 12, x_name),
        f'<g transform="rotate(-90 16 {HEIGHT / 2})">{text(16, HEIGHT / 2, y_name)}</g>',
        f'<path d="M{MARGIN} {MARGIN} V{HEIGHT - MARGIN} H{WIDTH - MARGIN}" fill="none" stroke="#888"/>',
    ]
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        places = [(place(x, x_range, WIDTH), HEIGHT - place(y, y_range, HEIGHT)) for x, y in line]
        path_of = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path_of}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
        parts += [text(x, y - 10, f"{value:.3g}", size=11) for (x, y), (_, value) in zip(places, line, strict=True)]
        parts.append(text(places[-1][0] - 8, places[-1][1] + 22, name, colour=colour))
    parts += [
        text(place(x, x_range, WIDTH), HEIGHT - MARGIN + 18, f"{x:,.0f}", size=11) for x in {x for x, _ in points}
    ]
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{svg}<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


def place(value: float, bounds: tuple[float, float], size: int) -> float:
    """Where a value stands on an axis of `size`, between the margins."""
    low, high = (math.log(bound) for bound in bounds)
    share = (math.log(value) - low) / (high - low) if high > low else 0.5
    return MARGIN + share * (size - 2 * MARGIN)


def text(x: float, y: float, words: str, *, size: int = 13, colour: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="middle">{words}</text>'
