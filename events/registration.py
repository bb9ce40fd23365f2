"""Register event types, archive and restore them, delete unused ones, and note the first event of each."""

import re
from collections.abc import Collection

from django.db import transaction
from django.db.models.functions import Now

from events.event_types import EVENT_TYPE_PATTERN
from events.models import EventType
from events.registered_types import event_types, words_of
from featurehub.lib.errors import ConflictError, InvalidError, UnknownError


def register_event_type(name: str, *, label: str = "", description: str = "") -> EventType:
    """Register a type; without a label it gets its name in words.

    Raises InvalidError for a name that is no word of a-z, 0-9 and _, ConflictError for one that is registered.
    """
    if not re.fullmatch(EVENT_TYPE_PATTERN, name):
        raise InvalidError(
            "The name of an event type is up to 64 lower-case letters, digits and underscores, a letter first.",
            attr="name",
        )
    with transaction.atomic():
        row, is_new = EventType.objects.get_or_create(
            name=name, defaults={"label": label or words_of(name), "description": description}
        )
        if not is_new:
            raise ConflictError(f"The event type {name} is registered already.", attr="name")
        transaction.on_commit(event_types.forget)
    return row


def describe_event_type(name: str, *, label: str, description: str) -> None:
    """Replace the label and the description of a type. Raise UnknownError where there is none."""
    with transaction.atomic():
        row = locked(name)
        EventType.objects.filter(pk=row.pk).update(label=label or words_of(name), description=description)
        transaction.on_commit(event_types.forget)


def archive_event_type(name: str) -> None:
    """Accept no new events of a type: at once in this process, in the others within SNAPSHOT_SECONDS.

    Raises ConflictError where it is archived already.
    """
    with transaction.atomic():
        row = locked(name)
        if row.archived_at is not None:
            raise ConflictError(f"The event type {name} is archived already, since {row.archived_at:%Y-%m-%d %H:%M}.")
        EventType.objects.filter(pk=row.pk).update(archived_at=Now())
        transaction.on_commit(event_types.forget)


def restore_event_type(name: str) -> None:
    """Accept events of an archived type again. Raise ConflictError where it is not archived."""
    with transaction.atomic():
        row = locked(name)
        if row.archived_at is None:
            raise ConflictError(f"The event type {name} is not archived by now.")
        EventType.objects.filter(pk=row.pk).update(archived_at=None)
        transaction.on_commit(event_types.forget)


def delete_event_type(name: str) -> None:
    """Delete a type of which no event was ever stored. Raise ConflictError for another one."""
    with transaction.atomic():
        row = locked(name)
        if row.is_there_from_the_start:
            raise ConflictError(f"The event type {name} is there from the start and stays. Archive it instead.")
        if row.used_at is not None:
            raise ConflictError(f"The event type {name} has events, so it stays. Archive it instead.")
        row.delete()
        transaction.on_commit(event_types.forget)


def locked(name: str) -> EventType:
    """Return a type whose row is locked until the transaction ends. Raise UnknownError where there is none."""
    row = EventType.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise UnknownError(f"There is no event type {name}.")
    return row


def note_first_events(names: Collection[str]) -> None:
    """Note the first events of their types, in the transaction that stores them; no query where none is the first.

    Whoever deletes such a type waits for this transaction, and then finds that it is used. Raises InvalidError where a
    type was deleted meanwhile, or never registered.
    """
    known = event_types.get()
    asked = frozenset(name for name in names if name in known.unused or name not in known.labels)
    if not asked:
        return
    rows = EventType.objects.select_for_update().filter(name__in=asked).order_by("name")
    missing = asked.difference(row.name for row in rows)
    if missing:
        raise known.refusal(min(missing))
    EventType.objects.filter(name__in=asked, used_at__isnull=True).update(used_at=Now())
    transaction.on_commit(event_types.forget)
