"""Alerts about values and events: what is unusual, in words, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone

from featurehub.lib.humanize import brief
from featurehub.lib.snapshot import Snapshot
from features.monitoring.drift import Drift, FeatureDrift, drift_sources, newest_drifts
from features.monitoring.event_volume import Silence, VolumeJump, unusual_volumes
from features.monitoring.profiles import finished_days

SECONDS_WATCHED = 60.0
# As long as nothing that they come from has changed.
SECONDS_UNCHANGED = 3_600.0
# Yesterday's profile may be on its way until today's noon.
LATE_AFTER = timedelta(days=1, hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAlert:
    """Something unusual: a shifted `feature`, or an `event_type`, or neither where no day gets profiled."""

    text: str
    to_do: str
    feature: str = ""
    event_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWatch:
    """The last findings: the newest day, every feature's drift on it, and event types with unusual volumes."""

    newest: date | None
    drifts: Sequence[FeatureDrift]
    volumes: Sequence[Silence | VolumeJump]

    def alerts(self, *, now: datetime) -> list[ValueAlert]:
        """Return the alerts: silent types and jumps, then shifted features, then profiles that are late."""
        shifted = [shift_alert(each) for each in self.drifts if each.shifted]
        return [*map(volume_alert, self.volumes), *shifted, *self.late(now=now)]

    def late(self, *, now: datetime) -> list[ValueAlert]:
        if self.newest is None or self.seconds_old(now=now) <= LATE_AFTER.total_seconds():
            return []
        return [
            ValueAlert(
                text=f"The values of no day since {self.newest:%-d %b %Y} are profiled.",
                to_do="Are beat and a worker running, and what does the worker's log say? Missed days are made up for.",
            )
        ]

    def seconds_old(self, *, now: datetime) -> float:
        """Return the time since the end of the newest profiled day; there has to be one."""
        assert self.newest is not None
        end = datetime(self.newest.year, self.newest.month, self.newest.day, tzinfo=UTC) + timedelta(days=1)
        return (now - end).total_seconds()


def look_for_alerts(*, now: datetime) -> ValueWatch:
    """Return what PostgreSQL tells now; the drifts are computed again only where what they come from has changed."""
    newest = finished_days().first()
    return ValueWatch(
        newest=None if newest is None else newest.day,
        drifts=drifts_in_memory.get(younger_than=0),
        volumes=unusual_volumes(now=now),
    )


drifts_in_memory = Snapshot(newest_drifts, seconds=SECONDS_UNCHANGED, fingerprint=drift_sources)
# In memory for a minute, because every scrape and the first page of the admin ask for it.
value_watch = Snapshot(lambda: look_for_alerts(now=timezone.now()), seconds=SECONDS_WATCHED)


# --- In words ---------------------------------------------------------------------------------------------------------


def shift_alert(drift: FeatureDrift) -> ValueAlert:
    parts = [f"{drift_in_words(each)} from {each.week}" for each in drift.shifted]
    return ValueAlert(
        feature=drift.profile.name,
        text=f"The values of {drift.profile.name} have shifted: {', and '.join(parts)}.",
        to_do=(
            "Look at its chart: from which day on? Was a version, a definition or a weight set changed then, or what "
            "clients send? If the new values are right, choose a new baseline week or other thresholds."
        ),
    )


def drift_in_words(drift: Drift) -> str:
    """Return the two figures: "stability index 0.31, largest distance 0.18"."""
    distance = "" if drift.largest_distance is None else f", largest distance {drift.largest_distance:.2f}"
    return f"stability index {drift.stability_index:.2f}{distance}"


def volume_alert(volume: Silence | VolumeJump) -> ValueAlert:
    if isinstance(volume, Silence):
        return ValueAlert(
            event_type=volume.event_type,
            text=(
                f"No {volume.event_type} for {volume.hours} hours, where {brief(round(volume.expected))} are usual at "
                f"this time and {brief(round(volume.a_day))} a day."
            ),
            to_do="Ask who sends these events: is the sender running, are its requests refused (401, 429, 400)?",
        )
    return ValueAlert(
        event_type=volume.event_type,
        text=f"{volume.events:,} {volume.event_type} in 24 hours, where {brief(round(volume.usual))} are usual.",
        to_do=(
            "Look at the newest events of this type: is something sent twice under new ids, is a source missing or "
            "new, was old data imported?"
        ),
    )
