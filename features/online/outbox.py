"""The outbox: customers that a committed transaction has changed and that are still to be published.

The transaction that changes customers writes an entry with them. After the commit its process publishes them and
settles the entry. Where the process dies in between, the entry stays and the sweep publishes it.

A settled entry is kept for some seconds: what Redis has just taken it may still lose, and then
`materialization.recovery` publishes it again.
"""

from collections.abc import Collection
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from events.tombstones import erased_among
from features.models import Publication
from features.online.publish import publish, unpublish

# An entry is left to its writer for this long; then the sweep publishes it.
PUBLICATION_TIME = timedelta(seconds=15)
# Redis writes to its disk every second and a replica lags less than that; both may stall for a few.
KEPT = timedelta(seconds=10)
# By hand: to convert a thousand ids, the model takes longer than PostgreSQL takes for the statement.
ANNOUNCE = """
insert into features_publication (customer_ids, due_at)
values (%s::text[], statement_timestamp() + make_interval(secs => %s)) returning id
"""


def announce(customer_ids: Collection[str], *, left_for: timedelta = PUBLICATION_TIME) -> int | None:
    """Write an entry for these customers in the caller's transaction. Return its id; None where there are none.

    The entry is left to the caller for so long; the sweep publishes one that is left for no time.
    """
    if not customer_ids:
        return None
    with connection.cursor() as cursor:
        cursor.execute(ANNOUNCE, [list(customer_ids), left_for.total_seconds()])
        (entry,) = cursor.fetchone()
        return int(entry)


def settle(publication_id: int | None) -> None:
    """Note that the entry's customers were published. None is no entry."""
    if publication_id is not None:
        Publication.objects.filter(pk=publication_id).update(published_at=Now())


def hand_over(publication_id: int | None) -> None:
    """Leave the entry to the sweep from now on: Redis did not take it. None is no entry."""
    if publication_id is not None:
        Publication.objects.filter(pk=publication_id).update(due_at=Now())


def unpublished() -> QuerySet[Publication]:
    """Return the entries that are not settled."""
    return Publication.objects.filter(published_at__isnull=True)


def overdue() -> QuerySet[Publication]:
    """Return the entries whose writers have died, or found Redis away."""
    return unpublished().filter(due_at__lte=Now())


def publish_overdue() -> int:
    """Publish the customers of the oldest overdue entry. Return their number, 0 where no entry is overdue.

    Customers that were erased meanwhile are deleted from Redis instead. Raises redis' ConnectionError or TimeoutError
    where it is away.
    """
    with transaction.atomic():
        publication = overdue().order_by("due_at").select_for_update(skip_locked=True).first()
        if publication is None:
            return 0
        erased = erased_among(publication.customer_ids)
        unpublish(erased)
        publish(sorted(set(publication.customer_ids) - erased))
        settle(publication.pk)
    return len(publication.customer_ids)


def publish_kept_again() -> None:
    """Make all entries overdue, the settled ones too."""
    Publication.objects.update(published_at=None, due_at=Now())


def delete_kept() -> None:
    """Delete the entries that were settled longer than KEPT ago; to be called while Redis has not lost anything."""
    Publication.objects.filter(published_at__lt=Now() - KEPT).delete()
