"""The stored activity of all active customers, or of a sample of them, as columns in memory for the studio.

Inactive customers, without an event in the window, score 0 under any weights and would only hide what changes. A sample
is loaded once; to move a slider then costs array arithmetic only. See decision 9.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from django.conf import settings
from django.db import connection

from featurehub.lib.snapshot import Snapshot
from features.formulas.activity import Activity, Floats, Ints
from features.models import Customer, FeatureType
from features.registry.snapshot import registry_snapshot

CUSTOMERS_IN_SAMPLE = 100_000
# An open studio keeps the same customers for this long; a studio that is opened needs a newer sample.
SECONDS_IN_MEMORY = 900.0
SECONDS_WHEN_OPENED = 60.0
NO_CATEGORY = "no category"

# Ordered by a hash of the id: the sample is the same every time, and independent of how ids are made.
SAMPLED_ACTIVITY = """
with wanted as materialized (
    select customer_id from features_customer where recompute_at is not null
    order by hashtextextended(customer_id, 0) limit %(limit)s
)
select wanted.customer_id, row.metadata -> 'activity'
from wanted
cross join lateral (
    select metadata from features_customerfeature
    where customer_id = wanted.customer_id and feature_type = %(feature_type)s and version = %(version)s
    order by "timestamp" desc, id desc
    limit 1
) row
"""
TOP_CATEGORIES = """
select distinct on (customer_id) customer_id, category
from (
    select customer_id, category, count(*) as events
    from events_event
    where "timestamp" between %(oldest)s and %(as_of)s and category is not null
        and customer_id = any(%(customer_ids)s)
    group by customer_id, category
) counted
order by customer_id, events desc, category
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Columns of the n customers sampled out of `customers` active ones; moments in microseconds since 1970 UTC."""

    taken_at: datetime
    customers: int
    inactive: int
    customer_ids: list[str]
    counts: dict[str, Ints]
    purchase_amount: Floats
    last_purchase_us: Ints
    categories: list[str]

    def __len__(self) -> int:
        return len(self.customer_ids)


def load_sample() -> Sample:
    """Return the sample as PostgreSQL has it now.

    Four queries, one of them over the window's events for the categories.
    """
    as_of = datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            SAMPLED_ACTIVITY,
            {
                "limit": CUSTOMERS_IN_SAMPLE,
                "feature_type": FeatureType.BEHAVIORAL.value,
                "version": registry_snapshot.get().live[FeatureType.BEHAVIORAL],
            },
        )
        rows = cursor.fetchall()
    customer_ids = [customer_id for customer_id, _ in rows]
    activity = Activity.from_records(customer_ids, [orjson.loads(text) for _, text in rows])
    top = top_categories(customer_ids, as_of=as_of)
    return Sample(
        taken_at=as_of,
        customers=Customer.objects.filter(recompute_at__isnull=False).count(),
        inactive=Customer.objects.filter(recompute_at__isnull=True, weight_set__isnull=False).count(),
        customer_ids=customer_ids,
        counts=dict(activity.counts),
        purchase_amount=activity.purchase_amount,
        last_purchase_us=activity.last_purchase_us,
        categories=[top.get(customer_id, NO_CATEGORY) for customer_id in customer_ids],
    )


def top_categories(customer_ids: list[str], *, as_of: datetime) -> dict[str, str]:
    """Return each customer's most frequent category in the window; customers without one are left out."""
    oldest = as_of - timedelta(days=settings.WINDOW_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(TOP_CATEGORIES, {"customer_ids": customer_ids, "oldest": oldest, "as_of": as_of})
        return dict(cursor.fetchall())


def current_sample(*, opened: bool = False) -> Sample:
    """Return the sample in memory, loaded again where it is too old. An empty one is loaded again every time."""
    held = activity_sample.get(younger_than=SECONDS_WHEN_OPENED if opened else None)
    return held if len(held) else activity_sample.get(younger_than=0)


activity_sample = Snapshot(load_sample, seconds=SECONDS_IN_MEMORY)
