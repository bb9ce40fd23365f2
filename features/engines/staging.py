"""The table of every customer's activity, for engines that can't create it with one statement."""

from collections.abc import Iterable, Sequence

from django.db import connection

from featurehub.lib.copying import copying
from features.engines import windowed_sql
from features.engines.activity_sql import ACTIVITY_COLUMNS
from features.formulas.activity import NEVER
from features.formulas.windowed import WindowedFeature

MAKE_TABLE = """
create table {table} (customer_id text, {typed_columns}, other_types text, windowed text)
"""
# Adds the customers without an event in the window, with zeros and without moments.
COMPLETE = """
insert into {table} (customer_id, {columns}, windowed)
select customer_id, {nothing}, %s from features_customer
where not exists (select from {table} staged where staged.customer_id = features_customer.customer_id)
"""
MOMENTS = ("last_purchase_us", "first_event_us", "last_event_us")
COPY_ACTIVITY = "copy {table} (customer_id, {columns}, other_types, windowed) from stdin (format csv)"
DOUBLES = ("purchase_amount",)


def create_activity_table(table: str, blocks: Iterable[bytes], *, features: Sequence[WindowedFeature] = ()) -> None:
    """Create the table from blocks of CSV: (customer_id, *ACTIVITY_COLUMNS, other_types, windowed).

    Customers that are in no block get zeros.
    """
    names = {"table": connection.ops.quote_name(table), "columns": ", ".join(ACTIVITY_COLUMNS)}
    typed = ", ".join(f"{name} {'float8' if name in DOUBLES else 'bigint'}" for name in ACTIVITY_COLUMNS)
    nothing = ", ".join(f"{NEVER}" if name in MOMENTS else "0" for name in ACTIVITY_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(MAKE_TABLE.format(**names, typed_columns=typed))
        with copying(cursor, COPY_ACTIVITY.format(**names)) as copy:
            for block in blocks:
                copy.write(block)
        windowed = windowed_sql.empty_windowed(features) if features else None
        cursor.execute(COMPLETE.format(**names, nothing=nothing), [windowed])
