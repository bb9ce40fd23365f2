"""The goals of all benchmarks: limits of a ratio to a floor or peer, or of a figure with nothing beside it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit: the most that a ratio or figure may be, or the least."""

    limit: float
    is_least: bool = False

    def is_met_by(self, number: float) -> bool:
        return number >= self.limit if self.is_least else number <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.limit:.3g}"


# Reads over HTTP, CPU per request: one customer × 5 features
SINGLE_AGAINST_FEAST = Goal(1 / 5)
SINGLE_AGAINST_FUNCTION = Goal(1.8)
SINGLE_BEHIND_THE_FRONT = Goal(1 / 3)  # against Feast behind the same front
SINGLE_P99_AGAINST_FUNCTION = Goal(4.0)  # at half of the saturation rate
# … 100 customers × 5, and 250 features with Redis' CPU counted in, against Feast's best configuration
BATCH_AGAINST_FEAST = Goal(1 / 15)
WIDE_AGAINST_FEAST = Goal(1 / 5)

# In process, against a bare redis-py HMGET
IN_PROCESS = Goal(0.8)
# What observes a cached read, against the same read without it
OBSERVATION = Goal(1.03)

# Events: rows a second against a bare COPY, and seconds until a new value is readable
INGEST = Goal(0.6, is_least=True)
IMPORT = Goal(0.75, is_least=True)
IMPORT_FEATURES = Goal(0.4, is_least=True)
SECONDS_UNTIL_READABLE = Goal(0.2)

# Batch work on a million customers, CPU against the floors
RECOMPUTE = Goal(1.4)
RECOMPUTE_MEMORY = Goal(1.1)  # against that of a thirtieth of the customers
REFRESH = Goal(0.09)  # against the full recompute
NEW_WEIGHTS = Goal(1.6)

# Growth
CUSTOMERS_IN_REDIS = Goal(1.1)  # latency with a million against that with 10,000
WORKERS = Goal(1.1)  # CPU per request with two workers against that with one

# Customer lists: the first page of a million customers, and what keeping them right costs against not listing
SECONDS_PER_LIST = Goal(1.0)
LISTS_UPKEEP = Goal(1.1)
