"""Coverage and age of each feature, measured on a sample of customers at a cost that does not grow."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from django.db import connection

from featurehub.lib.clock import microseconds
from featurehub.lib.snapshot import Snapshot
from features.formulas.activity import MICROSECONDS_PER_SECOND
from features.online.publish import values_of_views
from features.registry.snapshot import registry_snapshot

SAMPLE = 1_000
# Random blocks of the table with about twice the rows wanted; all blocks of a small table. The percentage is queried
# first, because `tablesample` accepts no subquery.
SHARE = "select least(100, 200.0 * %s / greatest(reltuples, 1)) from pg_class where oid = 'features_customer'::regclass"
SAMPLED = "select customer_id from features_customer tablesample system (%s) limit %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The share of the sampled customers with a value of a feature, 0 to 1, and the median age of these values.

    `share` is None where no customer was sampled, `median_age_seconds` where none has a value.
    """

    share: float | None
    median_age_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverages:
    """Coverage by feature name, in a sample of `customers` customers."""

    customers: int
    by_name: Mapping[str, Coverage]

    def of(self, name: str) -> Coverage:
        """Return the coverage of a feature, also of one of which no customer has a value."""
        return self.by_name.get(name, Coverage(share=0.0 if self.customers else None, median_age_seconds=None))


def measure_coverage() -> Coverages:
    """Measure coverage and age in a random sample of at most SAMPLE customers, with three queries."""
    customer_ids = sample_customers()
    now_us = microseconds(datetime.now(UTC))
    counts: dict[str, int] = {}
    ages: dict[str, float] = {}
    known = registry_snapshot.get()
    measured = values_of_views(customer_ids)
    for view in sorted(measured, key=known.is_live, reverse=True):
        held = measured[view]
        for name in set(view.names).difference(counts):  # the live version counts where several have the name
            has_value = ~np.isnan(held.columns.by_name[name])
            if has_value.any():
                counts[name] = int(np.count_nonzero(has_value))
                ages[name] = float(np.median(now_us - held.as_of_us[has_value]) / MICROSECONDS_PER_SECOND)
    return Coverages(
        customers=len(customer_ids),
        by_name={
            name: Coverage(share=number / len(customer_ids), median_age_seconds=ages[name])
            for name, number in counts.items()
        },
    )


def sample_customers(size: int = SAMPLE) -> list[str]:
    """Return at most `size` customers from random blocks of the table.

    Customers of one block are not independent of one another, but they are cheap to read and random enough for a share.
    """
    with connection.cursor() as cursor:
        cursor.execute(SHARE, [size])
        (share,) = cursor.fetchone()
        cursor.execute(SAMPLED, [share, size])
        return [customer_id for (customer_id,) in cursor.fetchall()]


# Measured at most this often, however many callers there are.
coverages = Snapshot(measure_coverage, seconds=30.0)
