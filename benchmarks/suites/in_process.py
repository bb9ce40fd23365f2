"""`FeatureStore` in process against a bare redis-py HMGET of the same fields."""

from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis

from benchmarks import customers
from benchmarks.customers import FIVE, customer_id
from benchmarks.rows import Row
from benchmarks.turns import cpu_us
from features.serving.feature_store import FeatureStore

ROUNDS = 9
CALLS = 1_000
CUSTOMERS = 1_000


def run() -> list[Row]:
    get_redis_connection("default").flushdb()
    values = settings.LOCAL_DIR / "in_process.parquet"
    customers.write_values(values, customers=CUSTOMERS)
    customers.publish(values)
    store, client = FeatureStore(), Redis.from_url(settings.REDIS_URL)
    customer, fields = customer_id(7), ["_behavioral", *FIVE]
    measured = cpu_us(
        {
            "FeatureStore": lambda: store.get_customer_features(customer, FIVE),
            "HMGET": lambda: client.hmget(f"customer_features:{customer}", fields),
        },
        rounds=ROUNDS,
        calls=CALLS,
    )
    return [
        Row(
            work="get_customer_features in process, cached: CPU per call",
            figure=measured["FeatureStore"],
            unit="µs",
            against="floor",
            reference=measured["HMGET"],
            at_most=1.5,
            runs=ROUNDS,
        )
    ]
