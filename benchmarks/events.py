"""Events of many customers, made inside PostgreSQL: a few customers are very active (Zipf-Mandelbrot)."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from tqdm import tqdm

from events.event_types import EVENT_TYPES
from events.models import EventType
from events.partitions import make_partitions

EVENTS_PER_CUSTOMER = 30
EVENTS_PER_STATEMENT = 500_000
# More than the window of 30 days, so that some events have left it already.
DAYS = 33
# The number of customers that share the top of the distribution.
HEAD = 1_000

EMPTY = """
truncate events_event, events_dirtycustomer, features_customer, features_customerfeature, features_run,
    features_runchunk cascade
"""
MAKE_EVENTS = """
insert into events_event
    (event_id, customer_id, event_type, "timestamp", session_id, amount, category, metadata)
select 'e' || number,
    'customer-' || lpad(customer::text, 8, '0'),
    event_type,
    moment,
    case when share < 0.7 then customer || '-' || to_char(moment, 'DDD') end,
    case when event_type = 'purchase' then round((5 + share * 95)::numeric, 2) end,
    case when event_type in ('purchase', 'page_view') then 'category ' || (number %% 12) end,
    '{}'
from (
    select number,
        floor(power(%(customers)s + %(head)s, luck) * power(%(head)s, 1 - luck) - %(head)s)::int as customer,
        (array['page_view', 'page_view', 'page_view', 'page_view', 'page_view', 'page_view',
            'email_open', 'email_open', 'email_click', 'form_submit', 'purchase', 'login'])[1 + number %% 12]
            as event_type,
        %(until)s - random() * %(days)s * interval '1 day' as moment,
        random() as share
    from (
        select number, random() as luck from generate_series(%(first)s::bigint, %(last)s::bigint) number
    ) draw
) event
"""
# Half of the events, so that the first six types keep some of theirs.
SPREAD = "update events_event set event_type = 'type_' || id / 2 %% %(further)s where id %% 2 = 0"
DELETE_VALUES = "truncate features_customer, features_customerfeature, features_run, features_runchunk cascade"
REGISTER = """
insert into features_customer (customer_id)
select 'customer-' || lpad(number::text, 8, '0') from generate_series(0, %(customers)s - 1) number
on conflict do nothing
"""


def make_events(*, customers: int) -> None:
    """Replace all data by events of `customers`, EVENTS_PER_CUSTOMER each on average, the same at every run."""
    now = datetime.now(UTC)
    make_partitions(now - timedelta(days=DAYS), until=now)
    total = customers * EVENTS_PER_CUSTOMER
    with connection.cursor() as cursor, tqdm(total=total, unit=" events", desc="making events") as bar:
        cursor.execute(EMPTY)
        cursor.execute("select setseed(0.5)")
        for first in range(0, total, EVENTS_PER_STATEMENT):
            last = min(first + EVENTS_PER_STATEMENT, total) - 1
            draw = {"first": first, "last": last, "customers": customers, "head": min(HEAD, customers)}
            cursor.execute(MAKE_EVENTS, {**draw, "days": DAYS, "until": now})
            bar.update(last + 1 - first)
        cursor.execute(REGISTER, {"customers": customers})
        cursor.execute("vacuum analyze events_event, features_customer")


def spread_over_types(types: int) -> None:
    """Register types up to this number, and give half of the events one of those that are not there from the start."""
    further = types - len(EVENT_TYPES)
    for number in range(further):
        EventType.objects.get_or_create(
            name=f"type_{number}", defaults={"label": f"Type {number}", "used_at": datetime.now(UTC)}
        )
    with connection.cursor() as cursor:
        cursor.execute(SPREAD, {"further": further})
        cursor.execute("vacuum full analyze events_event")


def delete_values() -> None:
    """Delete all that was computed, and keep the events and the ids of the customers."""
    with connection.cursor() as cursor:
        cursor.execute("create temporary table known as select customer_id from features_customer")
        cursor.execute(DELETE_VALUES)
        cursor.execute("insert into features_customer (customer_id) select customer_id from known")
        cursor.execute("drop table known")
        cursor.execute("vacuum analyze features_customer")
