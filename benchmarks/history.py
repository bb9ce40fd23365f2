"""Feature history of many customers, made inside PostgreSQL: random values, appended in the order of time."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from tqdm import tqdm

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
# Every customer has a row of each computed type in each period, at a random moment, and in every third period one more
# row that a client has written.
PERIODS = 6
PERIOD = timedelta(days=10)
LAST_DAY = FIRST_DAY + PERIODS * PERIOD

EMPTY = "truncate features_customer, features_customerfeature cascade"
APPEND = """
insert into features_customerfeature (customer_id, feature_type, version, "timestamp", recorded_at, features, metadata)
select 'customer-' || lpad(customer::text, 8, '0'), feature_type, '1.0', moment, moment + interval '1 second',
    case feature_type
        when 'behavioral' then jsonb_build_object(
            'engagement_score', random(), 'page_views_30d', floor(random() * 100),
            'email_opens_30d', floor(random() * 50), 'email_clicks_30d', floor(random() * 20),
            'form_submits_30d', floor(random() * 10), 'purchases_30d', floor(random() * 10),
            'conversion_rate', random(), 'login_frequency', floor(random() * 30), 'session_duration', random() * 1000,
            'recency_score', random(), 'frequency_score', random(),
            'purchase_amount_30d', round((random() * 1000)::numeric, 2), 'monetary_score', random(),
            'category_preferences', random())
        when 'derived' then jsonb_build_object('rfm_score', random())
        else jsonb_build_object(
            'cart_value', round((random() * 100)::numeric, 2), 'items_in_cart', floor(random() * 9))
    end,
    case feature_type
        when 'behavioral' then jsonb_build_object('weight_set', 1, 'activity', jsonb_build_object(
            'page_view', 12, 'email_open', 5, 'email_click', 2, 'form_submit', 1, 'purchase', 3, 'login', 9,
            'purchase_amount', 123.45, 'last_purchase_us', 1770000000000000, 'first_event_us', 1770000000000000,
            'sessions', 5, 'session_us', 123456789, 'categorised_events', 9, 'top_category_events', 4))
        else '{}'
    end
from (
    select customer, feature_type, %(since)s + random() * %(period)s as moment
    from generate_series(0, %(customers)s - 1) customer, unnest(%(feature_types)s::text[]) feature_type
    order by moment
) drawn
"""


def make_history(*, customers: int) -> int:
    """Replace all data by the history of `customers`, the same at every run. Return the number of its rows."""
    rows = 0
    with connection.cursor() as cursor, tqdm(total=PERIODS, unit=" periods", desc="making history") as bar:
        cursor.execute(EMPTY)
        cursor.execute("select setseed(0.5)")
        for number in range(PERIODS):
            feature_types = ["behavioral", "derived", *(["contextual"] if number % 3 == 0 else [])]
            since = FIRST_DAY + number * PERIOD
            draw = {"since": since, "period": PERIOD, "customers": customers, "feature_types": feature_types}
            cursor.execute(APPEND, draw)
            rows += cursor.rowcount
            bar.update()
        cursor.execute("vacuum analyze features_customerfeature")
    return rows
