"""Put aside a version that can't be computed, so that the other versions go on.

One statement aggregates the windows of all versions. Only where it fails, versions are tried for the same customers,
the live one first, each together with those that were found to work. So a version is found that fails alone, and one
that is too much beside the others; of those it is the one that is not live. What Python computes, it computes for one
version after the other, so that an error there names its version.

A version that fails is marked in PostgreSQL and recorded in its history. It is not computed any more, its readers keep
the values that it had, and "Compute again" takes it up for everybody, which is how it gets what it has missed. The live
version is no exception: its readers get old values, which say how old they are, and the other versions go on.

A version with a definition that can't be read, such as an expression that was changed by hand, fails in the same way:
the registry has it as one that can only be read, and the next computation or renewal of anybody puts it aside.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from features.engines import postgres
from features.formulas.view import FeatureView
from features.formulas.windowed import WindowedFeature
from features.materialization.locks import database_now
from features.models import Customer, FeatureVersion, FeatureVersionStep
from features.registry.snapshot import registry_snapshot

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

CUSTOMERS_TRIED = 1_000
# Classes of SQLSTATE: data, syntax and names, limits of a statement, features that do not exist, internal errors.
OF_THE_STATEMENT = ("22", "42", "54", "0A", "XX")


class VersionFailedError(Exception):
    """An error in Python while one version was computed."""

    def __init__(self, view: FeatureView, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.view = view


@contextmanager
def computing(view: FeatureView) -> Iterator[None]:
    """Raise VersionFailedError in place of an error of the block, which computes this version and nothing else.

    Errors of PostgreSQL and a lack of memory stay what they are: they may have nothing to do with the version.
    """
    try:
        yield
    except (DatabaseError, MemoryError):
        raise
    except Exception as error:
        raise VersionFailedError(view, error) from error


def isolating(
    attempt: Callable[[], Result], *, customer_ids: Callable[[], Sequence[str]], needed: FeatureVersion | None = None
) -> Result:
    """Return the result of the attempt; where it fails because of versions, put them aside and attempt it again.

    `customer_ids` returns those for whom the versions are tried. Raises the error where no version is the reason, and
    where the attempt is for a version that is: the `needed` one.
    """
    aside: set[tuple[str, str]] = set()
    own = needed and (needed.feature_type, needed.number)
    while True:
        try:
            return attempt()
        except (DatabaseError, VersionFailedError) as error:
            failing = {view.key for view in put_aside_because_of(error, customer_ids=customer_ids)}
            if own in failing or failing <= aside:
                raise
            aside |= failing


def put_broken_aside() -> None:
    """Put aside the versions with a definition that can't be read, which the registry leaves out of computations."""
    known = registry_snapshot.get()
    for key, why in known.broken.items():
        put_aside(known.views[key], because=why)


def put_aside_because_of(
    error: DatabaseError | VersionFailedError, *, customer_ids: Callable[[], Sequence[str]]
) -> Collection[FeatureView]:
    """Put aside the versions that are the reason of the error, and return them."""
    if isinstance(error, VersionFailedError):
        put_aside(error.view, because=str(error))
        registry_snapshot.forget()
        return (error.view,)
    return put_failing_aside(customer_ids()) if is_of_the_statement(error) else ()


def is_of_the_statement(error: DatabaseError) -> bool:
    """Return whether the error is the statement's own, and not that of a server which is away, busy or full."""
    sqlstate: str | None = getattr(error.__cause__, "sqlstate", None)
    return sqlstate is not None and sqlstate.startswith(OF_THE_STATEMENT)


def is_passing(error: Exception) -> bool:
    """Return whether another attempt may do without the error: PostgreSQL was away, busy or full."""
    return isinstance(error, DatabaseError) and not is_of_the_statement(error)


def put_failing_aside(customer_ids: Sequence[str]) -> Collection[FeatureView]:
    """Put aside the versions that can't be aggregated for these customers, and return them.

    There are none where the statement fails without any windowed feature: no version is the reason then.
    """
    known = registry_snapshot.get(younger_than=0)
    working: dict[str, WindowedFeature] = {}
    failing: dict[FeatureView, str] = {}
    if reason_to_fail(working, customer_ids=customer_ids) is not None:
        return ()
    for view in known.behavioral:
        tried = {**working, **view.windowed}
        reason = reason_to_fail(tried, customer_ids=customer_ids)
        if reason is None:
            working = tried
        else:
            failing[view] = reason
    for view, reason in failing.items():
        put_aside(view, because=reason)
    registry_snapshot.forget()
    return failing.keys()


def reason_to_fail(windowed: Mapping[str, WindowedFeature], *, customer_ids: Sequence[str]) -> str | None:
    """Return PostgreSQL's reason where it can't aggregate the features for these customers, else None."""
    try:
        with transaction.atomic():
            try_to_aggregate(windowed, customer_ids=customer_ids)
    except DatabaseError as error:
        if not is_of_the_statement(error):
            raise
        return str(error).strip().splitlines()[0]
    return None


def try_to_aggregate(windowed: Mapping[str, WindowedFeature], *, customer_ids: Sequence[str]) -> None:
    """Aggregate the features for these customers, and raise PostgreSQL's error if it can't."""
    postgres.aggregate(
        customer_ids, as_of=database_now(), window_days=settings.WINDOW_DAYS, features=tuple(windowed.values())
    )


def put_aside(view: FeatureView, *, because: str) -> None:
    """Mark the version, record why, and log it; do nothing where it is put aside already.

    One that is taken up when it fails was put aside at its earlier moment: up to that its values are known to hold.
    """
    with transaction.atomic():
        versions = FeatureVersion.objects.filter(feature_type=view.feature_type, number=view.number)
        computed = versions.filter(Q(put_aside_at__isnull=True) | Q(is_taken_up=True))
        version = computed.select_for_update(no_key=True).first()
        if version is None:
            return
        versions.update(put_aside_at=Coalesce("put_aside_at", Now()), put_aside_because=because, is_taken_up=False)
        FeatureVersionStep.objects.create(
            version=version, state=version.state, reason=f"Put aside, since it can't be computed: {because}"
        )
    logger.error("%s is put aside, since it can't be computed: %s", version, because)


def active_customers() -> Sequence[str]:
    """Return customers to try a version on, where the failing ones are not known: those that were computed last."""
    newest = Customer.objects.order_by(F("computed_at").desc(nulls_last=True))
    return list(newest.values_list("pk", flat=True)[:CUSTOMERS_TRIED])
