"""Time series, kept for the charts of the Overview and for Prometheus."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class SeriesPoint(models.Model):
    """A point of a time series: the counts of one minute or hour, or of all time since the first start.

    Writers add to it, so that several processes write one point. A series is a name, such as "requests", and its
    labels, such as ["GET", "events/", "202"].
    """

    class Resolution(models.TextChoices):
        MINUTE = "minute"
        HOUR = "hour"
        EVER = "ever"

    resolution = models.CharField(max_length=8, choices=Resolution.choices)
    name = models.CharField(max_length=64)
    # The beginning of the minute or hour; of what was counted ever, 1970.
    start = models.DateTimeField()
    labels = ArrayField(models.CharField(max_length=128), default=list)
    count = models.BigIntegerField(default=0)
    # The sum of the values; the mean of what is measured is total ÷ count.
    total = models.FloatField(default=0.0)
    # How many values were in each range of a histogram; empty: none is kept.
    buckets = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        constraints = [
            # Its index also finds the points of a series in a range of time.
            models.UniqueConstraint(fields=["resolution", "name", "start", "labels"], name="series_point_is_unique"),
            models.CheckConstraint(
                condition=models.Q(resolution__in=["minute", "hour", "ever"]), name="series_point_resolution_is_known"
            ),
        ]
        indexes = [
            # Finds what is past its retention.
            models.Index(fields=["resolution", "start"], name="series_point_age"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {' '.join(self.labels)} at {self.start.isoformat()}"


class CountedEvents(models.Model):
    """The one row that says up to which id the events are counted, see `features.monitoring.event_counts`."""

    # All events up to this id are counted.
    counted_to = models.BigIntegerField()
    # The last id that was given out at the last look, and the first transaction that had not begun then.
    seen_to = models.BigIntegerField()
    seen_before = models.BigIntegerField()

    def __str__(self) -> str:
        return f"counted up to event {self.counted_to}"
