"""Feature views: the names of one version, and how each is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from features.formulas.behavioral import TIME_DEPENDENT
from features.formulas.expressions import Expression
from features.formulas.windowed import WindowedFeature


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureView:
    """A version as code sees it: the names it has, and how each is computed.

    `formulas`, `windowed` and `expressions` hold the names by the way in which they are computed; names that clients
    write are in none of them. `expressions` is in an order in which each follows those that it reads. `inputs` maps
    feature type → number of the version that the expressions read. `time_to_live` is in seconds, None where values do
    not expire.
    """

    feature_type: str
    number: str
    names: tuple[str, ...]
    time_to_live: float | None
    formulas: tuple[str, ...] = ()
    windowed: Mapping[str, WindowedFeature] = field(default_factory=dict)
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.feature_type, self.number

    @cached_property
    def reads(self) -> frozenset[str]:
        """Return the names that the expressions read from other versions."""
        return frozenset(undefined_names(self.expressions))

    @cached_property
    def decaying(self) -> tuple[WindowedFeature, ...]:
        """Return the windowed features whose values decay."""
        return tuple(feature for feature in self.windowed.values() if feature.decays)

    @cached_property
    def time_dependent(self) -> tuple[str, ...]:
        """Return the behavioral names whose values change with time alone."""
        decaying = {feature.name for feature in self.decaying}
        return tuple(name for name in self.names if name in TIME_DEPENDENT or name in decaying)


def undefined_names(expressions: Mapping[str, Expression]) -> set[str]:
    """Return the names that the expressions read and that none of them defines.

    That these are features was checked when the version left its draft state.
    """
    return {name for expression in expressions.values() for name in expression.names} - set(expressions)
