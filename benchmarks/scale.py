"""BENCH_SCALE: how much smaller than usual a benchmark is, for trying it. Results are then worth nothing."""

import os

SCALE = float(os.environ.get("BENCH_SCALE", "1"))


def scaled(number: float, *, least: int = 1) -> int:
    """Return the number divided by BENCH_SCALE, and at least `least`."""
    return max(least, round(number / SCALE))
