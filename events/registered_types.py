"""The registered event types in memory, kept for SNAPSHOT_SECONDS: events are checked against them without a query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings

from events.models import EventType
from featurehub.lib.errors import InvalidError
from featurehub.lib.snapshot import LOOK_AGAIN_SECONDS, Snapshot

# An error lists up to this many types, and repeats a wrong one up to this length.
TYPES_LISTED = 100
LONGEST_TYPE_REPEATED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredTypes:
    """All registered event types.

    `labels` is name → label, in the order of registration, in which contributions to a score are added. New events of
    `accepted` types are taken, those of archived ones are not. Of `unused` types no event was stored yet.
    """

    labels: Mapping[str, str]
    accepted: frozenset[str]
    unused: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all types, archived ones too."""
        return tuple(self.labels)

    def label(self, name: str) -> str:
        """Return the label of a type; of one that is not registered any more, its name in words."""
        return self.labels.get(name) or words_of(name)

    def refusal(self, name: str) -> InvalidError:
        """Return the error for an event of a type that is not accepted."""
        if name in self.labels:
            detail = (
                f"The event type {name} is archived: it takes no new events. Restore it in the admin under Event types."
            )
            return InvalidError(detail, attr="event_type", code="archived_event_type")
        named = repr(name if len(name) <= LONGEST_TYPE_REPEATED else name[:LONGEST_TYPE_REPEATED] + "…")
        taken = [known for known in self.labels if known in self.accepted]
        more = f" and {len(taken) - TYPES_LISTED} more" if len(taken) > TYPES_LISTED else ""
        detail = (
            f"No event type {named} is registered. There are {', '.join(taken[:TYPES_LISTED])}{more}. Register it in "
            "the admin under Event types, or with manage.py apply_definitions."
        )
        return InvalidError(detail, attr="event_type", code="unregistered_event_type")


def load_types() -> RegisteredTypes:
    """Load the registered types from PostgreSQL, with one query."""
    rows = list(EventType.objects.order_by("id"))
    return RegisteredTypes(
        labels={row.name: row.label for row in rows},
        accepted=frozenset(row.name for row in rows if row.archived_at is None),
        unused=frozenset(row.name for row in rows if row.used_at is None),
    )


event_types = Snapshot(load_types, seconds=settings.SNAPSHOT_SECONDS, in_background=True)


def check_event_types(names: Iterable[str], *, known: RegisteredTypes | None = None) -> None:
    """Raise InvalidError with `attr` `event_type` if new events of one of these types are not accepted.

    `known` are the registered types; None: those in memory. A thread without a connection of its own gives them.
    """
    found = frozenset(names)
    if found <= (known or event_types.get()).accepted:
        return
    # It may have been registered a moment ago, in another process.
    known = known or event_types.get(younger_than=LOOK_AGAIN_SECONDS)
    if refused := found - known.accepted:
        raise known.refusal(min(refused))


def check_are_registered(names: Iterable[str], *, attr: str) -> None:
    """Raise InvalidError with this `attr` if one of the names is not that of a registered type, archived or not."""
    found = frozenset(names)
    if found <= event_types.get().labels.keys():
        return
    known = event_types.get(younger_than=LOOK_AGAIN_SECONDS)
    if unknown := found - known.labels.keys():
        error = known.refusal(min(unknown))
        error.attr = attr
        raise error


def words_of(name: str) -> str:
    """Return a name as words: trial_started → Trial started."""
    return name.replace("_", " ").capitalize()
