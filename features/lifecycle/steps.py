"""What every step in the life of a version is made of: the lock, the check, the record."""

from collections.abc import Collection
from functools import partial
from typing import TypeAlias

from django.contrib.auth.models import User
from django.db import transaction

from featurehub.lib.errors import ConflictError, InvalidError, UnknownError
from features.models import FeatureVersion, FeatureVersionStep
from features.registry.snapshot import registry_snapshot

# A person; None is FeatureHub itself.
Actor: TypeAlias = User | None
SAY_WHY = "Say why: it is kept with the version, for whoever asks later."


def lock_versions() -> None:
    """All versions, in one order, until the transaction ends: whether a step can be taken depends on the others.

    Without the key, so that nobody waits who only refers to one of them, such as a reader that is noted.
    """
    list(FeatureVersion.objects.order_by("pk").select_for_update(no_key=True))


def claim(version_id: int, *, allowed: Collection[str], reason: str) -> FeatureVersion:
    """The version, locked with all others until the transaction ends, in one of the `allowed` states.

    Raises UnknownError, ConflictError for another state, InvalidError for an empty reason.
    """
    check_reason(reason)
    lock_versions()
    version = FeatureVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise UnknownError(f"There is no version {version_id}.")
    if version.state not in allowed:
        raise ConflictError(f"{version} is {version.state} by now{last_step(version)}. Nothing was changed.")
    return version


def check_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidError(SAY_WHY, attr="reason")


def last_step(version: FeatureVersion) -> str:
    """Who took the last step when, for the person who came too late."""
    step = version.steps.select_related("by").last()
    if step is None:
        return ""
    return f" (by {step.by or 'FeatureHub'} at {step.at:%H:%M:%S} UTC)"


def move(version: FeatureVersion, state: str, *, by: Actor, reason: str, **changes: object) -> None:
    """Puts the version in a state and records the step."""
    FeatureVersion.objects.filter(pk=version.pk).update(state=state, **changes)
    version.refresh_from_db()
    record(version, by=by, reason=reason)


def record(version: FeatureVersion, *, by: Actor, reason: str) -> None:
    """Notes what was done to the version as it is now; every process knows within seconds, this one at once."""
    FeatureVersionStep.objects.create(version=version, state=version.state, by=by, reason=reason)
    transaction.on_commit(partial(registry_snapshot.forget))
