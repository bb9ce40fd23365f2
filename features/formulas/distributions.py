"""Distributions of values in little memory, and how far two of them are apart. Pure: no Django."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy

from features.formulas.activity import Floats

# The steps of a distribution: it is exact at each of them, and off by 1 / STEPS at most in between.
STEPS = 200
TENTHS = np.arange(1, 10) / 10
# The share that an empty part of the range counts as in the population stability index, which divides by it.
LEAST_SHARE = 0.0001
# Of two samples of one population, one in a thousand pairs is farther apart than chance allows.
BY_CHANCE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """The distribution of `count` values, beside which `missing` customers had none.

    `shares` are the shares of the values that are ≤ each of the `edges`; the last one is 1.
    """

    count: int
    missing: int
    edges: Floats
    shares: Floats

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return the distribution of a column; NaN is missing."""
        found = np.sort(values[~np.isnan(values)])
        missing = len(values) - len(found)
        if not len(found):
            return cls(count=0, missing=missing, edges=np.array([]), shares=np.array([]))
        places = np.maximum(np.ceil(np.arange(STEPS + 1) / STEPS * len(found)).astype(np.int64) - 1, 0)
        edges = np.unique(found[places])
        shares = np.searchsorted(found, edges, side="right") / len(found)
        return cls(count=len(found), missing=missing, edges=edges, shares=shares)

    @classmethod
    def together(cls, parts: Sequence["Distribution"]) -> Self:
        """Return the distribution of all values of the parts."""
        held = [part for part in parts if part.count]
        count, missing = sum(part.count for part in held), sum(part.missing for part in parts)
        if not held:
            return cls(count=0, missing=missing, edges=np.array([]), shares=np.array([]))
        edges = np.unique(np.concatenate([part.edges for part in held]))
        weighted: Floats = np.zeros(len(edges))
        for part in held:
            weighted = weighted + part.count * part.share_up_to(edges)
        return cls(count=count, missing=missing, edges=edges, shares=weighted / count)

    @property
    def customers(self) -> int:
        return self.count + self.missing

    @property
    def missing_share(self) -> float:
        return self.missing / self.customers if self.customers else 0.0

    def share_up_to(self, points: Floats) -> Floats:
        """Return the share of the values that are ≤ each of the points.

        Between two edges lies 1 / STEPS of the values at most, spread evenly as far as is known; what more the next
        edge brings is at the edge itself.
        """
        if not self.count:
            return np.zeros(len(points))
        place = np.searchsorted(self.edges, points, side="right")
        found: Floats = np.concatenate([[0.0], self.shares])[place]
        between = np.flatnonzero((place > 0) & (place < len(self.edges)))
        following = place[between]
        low, high = self.edges[following - 1] / 2, self.edges[following] / 2
        rise = np.minimum(self.shares[following] - self.shares[following - 1], 1 / STEPS)
        part = np.divide(points[between] / 2 - low, high - low, out=np.zeros(len(between)), where=high > low)
        found[between] += rise * part
        return found

    def quantiles(self, shares: Floats) -> Floats:
        """Return the least values that are not below these shares of all values; there has to be one."""
        places = np.searchsorted(self.shares, shares - 1e-12)
        found: Floats = self.edges[np.minimum(places, len(self.edges) - 1)]
        return found


# --- How far apart ----------------------------------------------------------------------------------------------------


def parts_of_range(reference: Distribution, other: Distribution) -> tuple[Floats, Floats]:
    """Return the shares of the customers of both in each part of the range, the missing ones last.

    The parts end at the deciles of the reference; deciles that are equal, as many zeros make them, end one part.
    """
    ends = np.unique(reference.quantiles(TENTHS)) if reference.count else np.array([])

    def shares(of: Distribution) -> Floats:
        if not of.customers:
            return np.zeros(len(ends) + 2)
        up_to = np.concatenate([[0.0], of.share_up_to(ends), [1.0 if of.count else 0.0]])
        found: Floats = np.append(np.diff(up_to) * (1 - of.missing_share), of.missing_share)
        return found

    return shares(reference), shares(other)


def stability_index(reference: Floats, other: Floats) -> float:
    """Return the population stability index Σ (other − reference) · ln(other / reference) of shares.

    Usual readings: below 0.1 no shift, above 0.25 a large one. See Siddiqi, Credit Risk Scorecards (2006). A share
    below LEAST_SHARE counts as that one.
    """
    first, second = np.maximum(reference, LEAST_SHARE), np.maximum(other, LEAST_SHARE)
    return float(np.sum((second - first) * np.log(second / first)))


def stability_index_by_chance(parts: int, *, sizes: tuple[int, int]) -> float:
    """Return what the index of two samples of one population exceeds with the probability BY_CHANCE.

    Divided by 1/n + 1/m it is distributed like χ² with a degree of freedom less than there are parts. See Yurdakul,
    Statistical Properties of Population Stability Index (2018).
    """
    quantile = scipy.special.chdtri(max(parts - 1, 1), BY_CHANCE)
    return float(quantile * (1 / sizes[0] + 1 / sizes[1]))


def largest_distance(reference: Distribution, other: Distribution) -> float | None:
    """Return Kolmogorov and Smirnov's distance, the largest difference of the shares up to a value, from 0 to 1.

    None where one of the two has no values. Its error is 2 / STEPS at most: one distribution is known to 1 / STEPS at
    the edges of the other, and both may rise by as much between two edges, where nobody looks.
    """
    if not reference.count or not other.count:
        return None
    points = np.union1d(reference.edges, other.edges)
    return float(np.max(np.abs(reference.share_up_to(points) - other.share_up_to(points))))


def largest_distance_by_chance(*, sizes: tuple[int, int]) -> float:
    """Return what the distance of two samples of one population exceeds with the probability BY_CHANCE, nearly."""
    return float(np.sqrt(-np.log(BY_CHANCE / 2) / 2 * (1 / sizes[0] + 1 / sizes[1])))
