"""Synthetic customers, many at once: random activity, scored by the formulas, copied into PostgreSQL and published.

python manage.py shell -c "from tests.e2e.synthetic import load; load(100_000)"
"""

from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import orjson
from django.conf import settings
from django.db import connection, transaction

from events.event_types import EVENT_TYPES
from featurehub.lib.clock import microseconds
from features.formulas.activity import MICROSECONDS_PER_DAY, NEVER, Activity
from features.formulas.behavioral import BEHAVIORAL_FEATURES, behavioral_features
from features.materialization.locks import database_now
from features.registry.weight_sets import active_set, as_weights

SEED = 20_260_101
PREFIX = "synthetic-"
MEANS = {"page_view": 30, "email_open": 8, "email_click": 2, "form_submit": 3, "purchase": 2, "login": 7}
CUSTOMERS = "copy features_customer (customer_id, computed_at, recompute_at, weight_set_id) from stdin"
HISTORY = """
copy features_customerfeature (customer_id, feature_type, version, "timestamp", recorded_at, features, metadata)
from stdin
"""
# Changes with any bit of any of their scores. Of the demo customers, events leave the window while a test runs.
FINGERPRINT = """
select md5(string_agg(customer_id || ':' || score, ',' order by customer_id)), count(*)
from (
    select distinct on (customer_id) customer_id,
        encode(float8send((features ->> 'engagement_score')::float8), 'hex') as score
    from features_customerfeature
    where feature_type = 'behavioral' and customer_id like 'synthetic-%'
    order by customer_id, "timestamp" desc, id desc
) latest
"""


def load(customers: int) -> None:
    """Add active customers whose newest row is what a computation now under the active weights would have appended."""
    as_of = database_now()
    weight_set = active_set("1.0")
    activity = random_activity(customers, as_of_us=microseconds(as_of))
    values = behavioral_features(
        activity, weights=as_weights(weight_set), as_of_us=microseconds(as_of), window_days=settings.WINDOW_DAYS
    )
    columns = [values[name].tolist() for name in BEHAVIORAL_FEATURES]
    features = [dict(zip(BEHAVIORAL_FEATURES, row, strict=True)) for row in zip(*columns, strict=True)]
    leaves = as_of + timedelta(days=15)
    with transaction.atomic():
        copy(CUSTOMERS, ((customer_id, as_of, leaves, weight_set.pk) for customer_id in activity.customer_ids))
        copy(
            HISTORY,
            (
                (
                    customer_id, "behavioral", "1.0", as_of, as_of, orjson.dumps(row).decode(),
                    orjson.dumps({"weight_set": weight_set.pk, "activity": record}).decode(),
                )
                for customer_id, row, record in zip(
                    activity.customer_ids, features, activity.to_records(), strict=True
                )
            ),
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("analyze features_customer, features_customerfeature")


def random_activity(customers: int, *, as_of_us: int) -> Activity:
    """Return Poisson counts around MEANS, with an activity level per customer; the same for the same number."""
    random = np.random.default_rng(SEED)
    liveliness = random.gamma(0.8, 1.2, customers)
    counts = {name: random.poisson(MEANS[name] * liveliness).astype(np.int64) for name in EVENT_TYPES}
    bought = counts["purchase"] > 0
    last = as_of_us - random.integers(0, 15 * MICROSECONDS_PER_DAY, customers)
    zeros = np.zeros(customers, dtype=np.int64)
    return Activity(
        customer_ids=[f"{PREFIX}{number:07d}" for number in range(customers)],
        counts=counts,
        purchase_amount=np.round(counts["purchase"] * random.gamma(2.0, 20.0, customers), 2),
        last_purchase_us=np.where(bought, last, NEVER),
        first_event_us=np.full(customers, as_of_us - 15 * MICROSECONDS_PER_DAY),
        last_event_us=np.full(customers, as_of_us),
        sessions=zeros, session_us=zeros, categorised_events=zeros, top_category_events=zeros,
    )  # fmt: skip


def copy(statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as lines:
        for row in rows:
            lines.write_row(row)


def fingerprint() -> str:
    """Return a hash of the newest scores, to the last bit, of the customers that `load` added, and their number."""
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINT)
        digest, customers = cursor.fetchone()
    return f"{digest} of {customers} customers"
