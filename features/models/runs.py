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

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        OVERTAKEN = "overtaken"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, null=True, blank=True, related_name="runs")
    # A version in shadow that has no values yet: the run computes them for every customer.
    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, null=True, blank=True, related_name="runs")
    total = models.PositiveBigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    # The moment of a recomputation, null until the events are aggregated; the end of a thinning.
    as_of = models.DateTimeField(null=True, blank=True)

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
                fields=["version"], condition=Q(state="running"), name="run_one_of_a_version_at_a_time"
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.done} of {self.total}"


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
