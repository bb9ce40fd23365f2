"""A feature view: the names of one version and how each is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from features.formulas.behavioral import TIME_DEPENDENT
from features.formulas.expressions import Expression
from features.formulas.windowed import WindowedFeature


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureView:
    """A version that can be read: the names it has, in an order in which each can be computed after those before it.

    `formulas`, `windowed` and `expressions` are the three ways a name is computed; `inputs` (type → number) says of
    which versions the expressions' names are.
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
        """The names that the expressions take from other versions."""
        return frozenset(names_from_elsewhere(self.expressions))

    @cached_property
    def decaying(self) -> tuple[WindowedFeature, ...]:
        """The windowed features whose values fall with time alone."""
        return tuple(feature for feature in self.windowed.values() if feature.decays)

    @cached_property
    def time_dependent(self) -> tuple[str, ...]:
        """The behavioral names whose values change with time alone."""
        decaying = {feature.name for feature in self.decaying}
        return tuple(name for name in self.names if name in TIME_DEPENDENT or name in decaying)


def names_from_elsewhere(expressions: Mapping[str, Expression]) -> set[str]:
    """The names that the expressions take from elsewhere. They were checked when the version left its draft."""
    return {name for expression in expressions.values() for name in expression.names} - set(expressions)
