"""API keys: shown once, stored as a hash, with scopes, revocable."""

import hashlib
import secrets
from collections.abc import Sequence

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now


class Scope(models.TextChoices):
    READ = "read"
    WRITE = "write"
    INGEST = "ingest"


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
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

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


def create_api_key(name: str, *, scopes: list[str], requests_per_minute: int | None = None) -> tuple[ApiKey, str]:
    """Create a key and return it with its text, which can't be shown again."""
    key = f"fh_{secrets.token_urlsafe(32)}"
    made = ApiKey.objects.create(
        name=name,
        prefix=key[:10],
        hashed_key=hash_key(key),
        scopes=scopes,
        requests_per_minute=requests_per_minute,
    )
    return made, key


def revoke_api_keys(ids: Sequence[int]) -> int:
    """Revoke the keys for good, and return how many were not revoked before."""
    return ApiKey.objects.filter(pk__in=ids, revoked_at__isnull=True).update(revoked_at=Now())
