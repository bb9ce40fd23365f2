"""Uses of a version by API keys, which retiring it has to take into account."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError
from features.models import FeatureVersion, VersionUse

# Retiring a version that an API key read or wrote within this time takes a confirmation.
RECENTLY = timedelta(days=7)
RETIRABLE = (FeatureVersion.State.SHADOW, FeatureVersion.State.DEPRECATED)
USERS_NAMED = 5
WORD_FOR: dict[str, str] = {VersionUse.Kind.READ: "read", VersionUse.Kind.WRITE: "written"}


class StillUsedError(ConflictError):
    """A version that is to be retired was used lately: it takes a confirmation. `uses` are by whom, last first."""

    code = "still_used"

    def __init__(self, version: FeatureVersion, *, uses: Sequence[VersionUse]) -> None:
        named = [
            f"{WORD_FOR[use.kind]} by {use.api_key.name} at {use.used_at:%Y-%m-%d %H:%M} UTC"
            for use in uses[:USERS_NAMED]
        ]
        more = f" and {len(uses) - USERS_NAMED} more" if len(uses) > USERS_NAMED else ""
        super().__init__(f"{version} was used in the last {RECENTLY.days} days: {', '.join(named)}{more}.")
        self.uses = uses


def recent_uses(version: FeatureVersion) -> QuerySet[VersionUse]:
    """Return the API keys' reads and writes of the version in the last 7 days, last first."""
    uses = version.uses.filter(used_at__gt=Now() - RECENTLY)
    return uses.select_related("api_key").order_by("-used_at", "pk")
