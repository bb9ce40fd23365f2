"""How many customers have a value of each feature, and how old it is: from a sample, at a cost that does not grow."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from django.db import connection

from featurehub.lib.clock import microseconds
from featurehub.lib.snapshot import Snapshot
from features.formulas.activity import MICROSECONDS_PER_SECOND
from features.online.publish import values_of_views
from features.registry.snapshot import registry_snapshot

SAMPLE = 1_000
# Blocks of the table at random that hold about twice the rows wanted; all of a small table. A tablesample takes no
# subquery, so its share is asked for first.
SHARE = "select least(100, 200.0 * %s / greatest(reltuples, 1)) from pg_class where oid = 'features_customer'::regclass"
SAMPLED = "select customer_id from features_customer tablesample system (%s) limit %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """`share` of the sampled customers that have a value of a feature, 0 to 1; `median_age_seconds` of those values.

    Both None where nothing could be sampled or nobody has one.
    """

    share: float | None
    median_age_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverages:
    """Coverage by feature name, in a sample of this many customers."""

    customers: int
    by_name: Mapping[str, Coverage]

    def of(self, name: str) -> Coverage:
        """The coverage of a feature, also of one that nobody has."""
        return self.by_name.get(name, Coverage(share=0.0 if self.customers else None, median_age_seconds=None))


def measure_coverage() -> Coverages:
    """Coverage and age in a random sample of at most SAMPLE customers. Three queries."""
    customer_ids = sample_customers()
    now_us = microseconds(datetime.now(UTC))
    counts: Counter[str] = Counter()
    ages: defaultdict[str, list[float]] = defaultdict(list)
    known = registry_snapshot.get()
    measured = values_of_views(customer_ids)
    for view in sorted(measured, key=known.is_live, reverse=True):
        names = set(view.names).difference(counts)  # of a name in several versions the live one counts
        for published in measured[view].values():
            counts.update(names.intersection(published.features))
            for name in names.intersection(published.features):
                assert published.as_of_us is not None
                ages[name].append((now_us - published.as_of_us) / MICROSECONDS_PER_SECOND)
    return Coverages(
        customers=len(customer_ids),
        by_name={
            name: Coverage(share=number / len(customer_ids), median_age_seconds=median(ages[name]))
            for name, number in counts.items()
        },
    )


def sample_customers(size: int = SAMPLE) -> list[str]:
    """At most so many customers, in blocks as they lie in the table: cheap, and random enough for a share."""
    with connection.cursor() as cursor:
        cursor.execute(SHARE, [size])
        (share,) = cursor.fetchone()
        cursor.execute(SAMPLED, [share, size])
        return [customer_id for (customer_id,) in cursor.fetchall()]


# Measured at most this often, whoever asks.
coverages = Snapshot(measure_coverage, seconds=30.0)
