"""Fill in the customer lists: after the first start, after other features are listed, after another version goes live.

Computations keep the lists right (`confirmation`). What they have not touched since the layout changed is filled in
from the newest rows of the history, bucket by bucket, by a run that any worker goes on with. It reads each row as the
last computation has left it, under the customer's lock, so it never overwrites anything newer.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from django.db import connection, transaction

from featurehub.lib.batched import batched
from features.formulas.activity import MICROSECONDS_PER_SECOND
from features.formulas.decay import decayed_values
from features.formulas.values import Columns
from features.formulas.view import FeatureView
from features.materialization import runs
from features.materialization.confirmation import ListedColumns, listed_parameters, written_columns
from features.materialization.locks import lock_customers
from features.models import BUCKET, BUCKETS, Customer, FeatureType, Run
from features.offline import history
from features.offline.columns import decay_snapshot_of, stored_columns
from features.offline.history import Latest
from features.registry.list_layout import LAST_PURCHASE, ListLayout, list_layout
from features.registry.snapshot import registry_snapshot

FILLED_AT_ONCE = 2_000
# `last_seen_at` is empty where no computation has read events since the column was made.
FILL = """
update features_customer customer
set listed = array[{listed}]::float8[], listed_of = %(listed_of)s,
    last_seen_at = coalesce(customer.last_seen_at, (
        select max("timestamp") from events_event event where event.customer_id = customer.customer_id
    ))
from unnest(%(customer_ids)s::text[]{parameters}) as new (customer_id{columns})
where customer.customer_id = new.customer_id and customer.customer_id = any(%(customer_ids)s::text[])
"""


def begin_filling(*, anew: bool = False) -> Run | None:
    """Begin a run that fills in the lists; None where the last one was for today's layout.

    `anew`: fill everything in again. A run for another layout ends: this one does its work.
    """
    layout = list_layout(registry_snapshot.get(younger_than=0))
    with transaction.atomic():
        last = Run.objects.filter(kind=Run.Kind.LISTS).select_for_update().order_by("-id").first()
        if last is not None and last.listed_of == layout.checksum and not anew:
            return None
        running = Run.objects.filter(kind=Run.Kind.LISTS, state=Run.State.RUNNING)
        for overtaken in running:
            overtaken.chunks.all().delete()
        running.update(state=Run.State.OVERTAKEN)
        # At the very first start there is no row to lock: of two processes, one begins.
        run = Run(kind=Run.Kind.LISTS, total=BUCKETS, listed_of=layout.checksum)
        Run.objects.bulk_create([run], ignore_conflicts=True)
        run = running.get()
        runs.add_chunks(run, numbers=range(BUCKETS))
    return run


def fill_next(run: Run) -> int:
    """Fill in the next bucket of customers. Return 1, or 0 where no bucket is due."""
    with transaction.atomic():
        chunk = runs.claim_chunk(run)
    if chunk is None:
        runs.finish_chunks(run)
        return 0
    for customer_ids in customers_of(chunk.number):
        fill_customers(customer_ids)
    runs.settle_chunk(chunk, done=1)
    return 1


def customers_of(bucket: int) -> Iterator[Sequence[str]]:
    """Yield the customers of a bucket, in parts."""
    yield from batched(
        Customer.objects.alias(bucket=BUCKET).filter(bucket=bucket).values_list("pk", flat=True), FILLED_AT_ONCE
    )


def fill_customers(customer_ids: Sequence[str]) -> None:
    """Fill in what is listed of these customers from their newest rows, whatever was there."""
    with transaction.atomic():
        held_ids = sorted(lock_customers(customer_ids))
        layout = list_layout(registry_snapshot.get(younger_than=0))
        listed = stored_columns_of(held_ids, layout=layout)
        given = [place for place, values in enumerate(listed, start=1) if values is not None]
        statement = FILL.format(
            listed=", ".join("null" if values is None else f"listed_{n}" for n, values in enumerate(listed, start=1)),
            parameters="".join(f", %(listed_{place})s::float8[]" for place in given),
            columns="".join(f", listed_{place}" for place in given),
        )
        with connection.cursor() as cursor:
            cursor.execute(
                statement, {"customer_ids": held_ids, "listed_of": layout.checksum, **listed_parameters(listed)}
            )


def stored_columns_of(customer_ids: Sequence[str], *, layout: ListLayout) -> ListedColumns:
    """Return the numbers of customer lists from the history, in the order of the layout and of the customers."""
    known = layout.known
    keys = dict.fromkeys((source.feature_type, source.number) for source in layout.sources if source != LAST_PURCHASE)
    live = known.live_view(FeatureType.BEHAVIORAL)
    views = dict.fromkeys([live, *(known.views[key] for key in keys if key in known.views)])
    rows: dict[FeatureView, list[Latest]] = {view: [] for view in views}
    for row in history.latest(customer_ids, versions=[view.key for view in views]):
        rows[known.views[row.feature_type, row.version]].append(row)
    columns = {view.key: newest_columns(of, view=view).of(customer_ids).by_name for view, of in rows.items()}
    return [
        columns[live.key][LAST_PURCHASE.name]
        if source == LAST_PURCHASE
        else columns.get((source.feature_type, source.number), {}).get(source.name)
        for source in layout.sources
    ]


def newest_columns(rows: Sequence[Latest], *, view: FeatureView) -> Columns:
    """Return the values of a version's newest rows, behavioral ones decayed to the customers' last computations."""
    if view.feature_type != FeatureType.BEHAVIORAL:
        return written_columns(rows, view=view)
    stored = stored_columns(rows, names=view.names)
    snapshot = decay_snapshot_of(rows, view=view)
    computed_us = np.array([row.computation_us or row.since_us for row in rows], dtype=np.int64)
    decayed = decayed_values(snapshot, view=view, until_us=computed_us, window_days=1)
    last_purchase = snapshot.last_purchase_us / MICROSECONDS_PER_SECOND
    return Columns(stored.customer_ids, {**stored.by_name, **decayed, LAST_PURCHASE.name: last_purchase})
