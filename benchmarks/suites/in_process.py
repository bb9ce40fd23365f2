"""`FeatureStore` in process against a bare redis-py HMGET of the same fields."""

from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis

from benchmarks import customers, goals
from benchmarks.customers import FIVE, customer_id
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.turns import cpu_us
from featurehub.lib.gc_tuning import freeze_loaded_objects
from features.serving.feature_store import FeatureStore

CALLS = 10_000
CUSTOMERS = 1_000


def run() -> list[Row]:
    """Return the row. BENCH_SCALE=10 makes a tenth of the calls."""
    freeze_loaded_objects()  # as a web worker does
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
        rounds=RUNS,
        calls=scaled(CALLS),
    )
    return [
        Row(
            work="get_customer_features in process, cached: CPU per call",
            figures=measured["FeatureStore"],
            unit="µs",
            against="floor",
            references=measured["HMGET"],
            goal=goals.IN_PROCESS,
        )
    ]
