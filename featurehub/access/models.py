"""API keys: shown once, stored as a hash, with scopes and an end, revocable, replaced by a successor."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError


class Scope(models.TextChoices):
    READ = "read"
    WRITE = "write"
    INGEST = "ingest"
    METRICS = "metrics"


def hash_key(key: str) -> bytes:
    """Return the SHA-256 of the key.

    A key has 256 random bits, so that a slow hash would add no security.
    """
    return hashlib.sha256(key.encode()).digest()


class ApiKey(models.Model):
    """An API key and its permissions.

    Revoked keys are kept: the list shows who had access.
    """

    name = models.CharField(max_length=128)
    prefix = models.CharField(max_length=12, editable=False)
    hashed_key = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=16, choices=Scope.choices))
    # None: no limit.
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # None: it does not expire.
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # To within some minutes, see `uses`.
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The key that this one was made to replace. Until that one expires, both are valid.
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="successor"
    )

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values) & models.Q(scopes__len__gt=0),
                name="api_key_scopes_are_known",
            ),
            models.CheckConstraint(
                condition=models.Q(requests_per_minute__isnull=True) | models.Q(requests_per_minute__gt=0),
                name="api_key_limit_is_positive",
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_api_key(
    name: str,
    *,
    scopes: list[str],
    requests_per_minute: int | None = None,
    expires_at: datetime | None = None,
    replaces: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """Create a key and return it with its text, which can't be shown again."""
    key = f"fh_{secrets.token_urlsafe(32)}"
    made = ApiKey.objects.create(
        name=name,
        prefix=key[:10],
        hashed_key=hash_key(key),
        scopes=scopes,
        requests_per_minute=requests_per_minute,
        expires_at=expires_at,
        replaces=replaces,
    )
    return made, key


@transaction.atomic
def rotate_api_key(
    key_id: int, *, old_ends_at: datetime, expires_at: datetime | None, now: datetime
) -> tuple[ApiKey, str]:
    """Create the successor of a key, with its name, scopes and limit, and return it with its text.

    Both are valid until `old_ends_at`, or until the old one would have expired anyway; `expires_at` is the new one's.
    Raise ConflictError if the old one is not valid any more, or has a successor already.
    """
    old = ApiKey.objects.select_for_update().get(pk=key_id)
    if not old.is_valid(now):
        raise ConflictError(f"{old} is not valid any more: make a new key.")
    if (successor := ApiKey.objects.filter(replaces=old).first()) is not None:
        # Whoever rotated may have died, or the answer may have been lost, before anybody read the successor's text.
        to_do = f"rotate {successor}" if successor.is_valid(now) else "make a new key"
        raise ConflictError(
            f"{old} was rotated already: its successor is {successor}. If nobody has the text of that, {to_do}."
        )
    old.expires_at = min(old_ends_at, old.expires_at or old_ends_at)
    old.save(update_fields=["expires_at"])
    return create_api_key(
        old.name,
        scopes=old.scopes,
        requests_per_minute=old.requests_per_minute,
        expires_at=expires_at,
        replaces=old,
    )


def revoke_api_keys(ids: Sequence[int]) -> int:
    """Revoke the keys for good, and return how many were not revoked before."""
    return ApiKey.objects.filter(pk__in=ids, revoked_at__isnull=True).update(revoked_at=Now())
