"""Uses of a version, by API keys and in feature sets, which retiring it has to take into account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Now

from featurehub.lib.errors import ConflictError
from featurehub.lib.humanize import listed
from features.models import FeatureSet, FeatureSetUse, FeatureVersion, VersionUse

# Retiring a version that an API key read or wrote within this time takes a confirmation.
RECENTLY = timedelta(days=7)
RETIRABLE = (FeatureVersion.State.SHADOW, FeatureVersion.State.DEPRECATED)
USERS_NAMED, SETS_NAMED = 5, 10
NOT_READ = f"not read in the last {RECENTLY.days} days"
WORD_FOR: dict[str, str] = {VersionUse.Kind.READ: "read", VersionUse.Kind.WRITE: "written"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PinningSet:
    """A feature set that pins a version, and the reads by it in the last 7 days, last first."""

    feature_set: FeatureSet
    reads: Sequence[FeatureSetUse]

    def __str__(self) -> str:
        readers = listed([read.api_key.name for read in self.reads[:USERS_NAMED]])
        more = f" and {len(self.reads) - USERS_NAMED} more" if len(self.reads) > USERS_NAMED else ""
        return f"{self.feature_set} ({f'read by {readers}{more}' if self.reads else NOT_READ})"


class StillUsedError(ConflictError):
    """A version that is to be retired was used lately, or sets pin it: it takes a confirmation.

    `uses` are by whom, last first, `sets` those that pin it.
    """

    code = "still_used"

    def __init__(self, version: FeatureVersion, *, uses: Sequence[VersionUse], sets: Sequence[PinningSet] = ()) -> None:
        super().__init__(" ".join([*uses_in_words(version, uses=uses), *sets_in_words(version, sets=sets)]))
        self.uses = uses
        self.sets = sets


def uses_in_words(version: FeatureVersion, *, uses: Sequence[VersionUse]) -> list[str]:
    """Return a sentence about who used the version lately; none where nobody did."""
    named = [
        f"{WORD_FOR[use.kind]} by {use.api_key.name} at {use.used_at:%Y-%m-%d %H:%M} UTC" for use in uses[:USERS_NAMED]
    ]
    more = f" and {len(uses) - USERS_NAMED} more" if len(uses) > USERS_NAMED else ""
    return [f"{version} was used in the last {RECENTLY.days} days: {', '.join(named)}{more}."] if uses else []


def sets_in_words(version: FeatureVersion, *, sets: Sequence[PinningSet]) -> list[str]:
    """Return a sentence about the sets that pin the version; none where none does."""
    return [f"Feature sets pin {version}: {first_sets(sets)}. They can't be read without it."] if sets else []


def first_sets(sets: Sequence[PinningSet]) -> str:
    """Return the first sets with their readers as text, and how many more there are."""
    more = f" and {len(sets) - SETS_NAMED} more" if len(sets) > SETS_NAMED else ""
    return ", ".join(map(str, sets[:SETS_NAMED])) + more


def recent_uses(version: FeatureVersion) -> QuerySet[VersionUse]:
    """Return the API keys' reads and writes of the version in the last 7 days, last first."""
    uses = version.uses.filter(used_at__gt=Now() - RECENTLY)
    return uses.select_related("api_key").order_by("-used_at", "pk")


def pinning_sets(version: FeatureVersion) -> list[PinningSet]:
    """Return the feature sets that pin the version: those read lately first, then by name, the newest number first."""
    recently = FeatureSetUse.objects.filter(used_at__gt=Now() - RECENTLY).select_related("api_key")
    pinning = FeatureSet.objects.filter(versions__contains={version.feature_type: version.number})
    rows = pinning.prefetch_related(Prefetch("uses", queryset=recently.order_by("-used_at", "pk")))
    found = [PinningSet(feature_set=row, reads=list(row.uses.all())) for row in rows]
    return sorted(found, key=lambda pinned: not pinned.reads)
