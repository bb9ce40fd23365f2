"""Runs: long work, its progress, and the chunks in which it is done."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from features.models.versions import FeatureVersion
from features.models.weights import WeightSet


class Run(models.Model):
    """A run of long work, with its progress.

    The work that is left is read from the data, so that any worker can continue it.
    """

    class Kind(models.TextChoices):
        RESCORE = "rescore", "Re-score under new weights"
        RECOMPUTE = "recompute", "Recompute from events"
        REFRESH = "refresh", "Refresh before expiry"
        RETENTION = "retention", "Drop months of events past their retention"
        THINNING = "thinning", "Thin out the history past its retention"
        CHECK = "check", "Compare what is served with the events"
        REPAIR = "repair", "Repair customers that were found wrong"
        BACKFILL = "backfill", "Backfill a version's history"
        LISTS = "lists", "Fill in the customer lists"

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        OVERTAKEN = "overtaken"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, null=True, blank=True, related_name="runs")
    # The version whose values are computed for every customer: those of now, or those of the past.
    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, null=True, blank=True, related_name="runs")
    total = models.PositiveBigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    # The moment of a recomputation, null until the events are aggregated; the end of a thinning; the day of a backfill.
    as_of = models.DateTimeField(null=True, blank=True)
    # Of a run that fills in the customer lists: the checksum of what they hold, as in Customer.listed_of.
    listed_of = models.BigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name = "job"
        constraints = [
            # Runs of the other kinds may run at the same time.
            models.UniqueConstraint(
                fields=["kind"],
                condition=Q(state="running", kind__in=["refresh", "retention", "thinning", "check"]),
                name="run_one_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(state="running", kind="lists"), name="run_one_of_lists_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["version", "kind"], condition=Q(state="running"), name="run_one_of_a_version_at_a_time"
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.done} of {self.total}"


class ComputedRange(models.Model):
    """A range of moments for which everybody's values of a version are, or are being, computed.

    A computed version has values in its ranges only: before them, nobody knows what its values were. A version without
    a range, such as the first ones and those that clients write, has no such limit.
    """

    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, related_name="computed_ranges")
    since = models.DateTimeField()
    # Exclusive. Null: from `since` on, values are computed as events come.
    until = models.DateTimeField(null=True, blank=True)
    # Null until everybody is computed. A read that is limited to what was known earlier has no values of the range.
    recorded_at = models.DateTimeField(null=True, blank=True)
    # The backfill that computes the range.
    run = models.OneToOneField(Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="computed_range")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(until__isnull=True), name="computed_range_one_that_goes_on"
            ),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gt=models.F("since")), name="computed_range_is_not_empty"
            ),
        ]
        ordering = ["since"]

    def __str__(self) -> str:
        return f"{self.version} from {self.since.isoformat()}"


class RunChunk(models.Model):
    """A part of a run that is still to be done.

    It is deleted when it is done; a claim moves `due_at` ahead.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    due_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Its index also finds the next chunk of a run.
            models.UniqueConstraint(fields=["run", "number"], name="run_chunk_is_unique"),
        ]

    def __str__(self) -> str:
        return f"Chunk {self.number} of run {self.run_id}"
