"""The table of every customer's activity, for engines that can't create it with one statement."""

from collections.abc import Iterable, Sequence

from django.db import connection

from featurehub.lib.copying import copying
from features.engines import windowed_sql
from features.engines.activity_sql import ACTIVITY_COLUMNS
from features.formulas.activity import NEVER
from features.formulas.windowed import WindowedFeature

MAKE_TABLE = """
create table {table} (
    customer_id text, page_view bigint, email_open bigint, email_click bigint, form_submit bigint, purchase bigint,
    login bigint, purchase_amount float8, last_purchase_us bigint, first_event_us bigint, sessions bigint,
    session_us bigint, categorised_events bigint, top_category_events bigint, last_event_us bigint, windowed text
)
"""
# Adds the customers without an event in the window, with zeros and without moments.
COMPLETE = """
insert into {table} (customer_id, {columns}, windowed)
select customer_id, {nothing}, %s from features_customer
where not exists (select from {table} staged where staged.customer_id = features_customer.customer_id)
"""
MOMENTS = ("last_purchase_us", "first_event_us", "last_event_us")
COPY_ACTIVITY = "copy {table} (customer_id, {columns}, windowed) from stdin (format csv)"


def create_activity_table(table: str, blocks: Iterable[bytes], *, features: Sequence[WindowedFeature] = ()) -> None:
    """Create the table from blocks of CSV: (customer_id, *ACTIVITY_COLUMNS, windowed).

    Customers that are in no block get zeros.
    """
    names = {"table": connection.ops.quote_name(table), "columns": ", ".join(ACTIVITY_COLUMNS)}
    nothing = ", ".join(f"{NEVER}" if name in MOMENTS else "0" for name in ACTIVITY_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(MAKE_TABLE.format(**names))
        with copying(cursor, COPY_ACTIVITY.format(**names)) as copy:
            for block in blocks:
                copy.write(block)
        windowed = windowed_sql.empty_windowed(features) if features else None
        cursor.execute(COMPLETE.format(**names, nothing=nothing), [windowed])
