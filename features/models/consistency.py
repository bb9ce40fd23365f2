"""Checks of consistency: samples of customers whose served values were compared with history and events."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from features.models.runs import Run


class ConsistencyCheck(models.Model):
    """A random sample of customers, compared in chunks, and the result so far.

    The sample is large enough to find, with probability `confidence`, at least one wrong customer if a share of `rate`
    or more of all customers is wrong.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="consistency_check")
    rate = models.FloatField()
    confidence = models.FloatField()
    # The sample is everybody: there are no more customers than it would have.
    is_everybody = models.BooleanField()
    # Sampled customers that are still to be compared, and those that are put off, because values of theirs are on their
    # way. Both are empty when the run is done.
    waiting = ArrayField(models.CharField(max_length=128), default=list)
    postponed = ArrayField(models.CharField(max_length=128), default=list)
    # How often the postponed customers were taken up again.
    rounds = models.PositiveSmallIntegerField(default=0)
    compared = models.PositiveIntegerField(default=0)
    wrong = models.PositiveIntegerField(default=0)
    not_cached = models.PositiveIntegerField(default=0)
    # Customers that could not be compared: whenever they were looked at, values of theirs were on their way.
    unsettled = models.PositiveIntegerField(default=0)
    # A record for each comparison, version and feature, see `features.monitoring.tallies`.
    features = models.JSONField(default=list)
    repair_run = models.OneToOneField(Run, on_delete=models.SET_NULL, null=True, related_name="repaired_check")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(rate__gt=0, rate__lt=1, confidence__gt=0, confidence__lt=1),
                name="consistency_check_shares_are_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=Q(wrong__lte=models.F("compared")), name="consistency_check_wrong_are_compared"
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.wrong:,} of {self.compared:,} customers wrong"


class InconsistentCustomer(models.Model):
    """A sampled customer with a wrong value, and what was found.

    `findings`: a list of {"comparison", "version", "feature", "problem", "found", "expected"}.
    """

    check_made = models.ForeignKey(ConsistencyCheck, on_delete=models.CASCADE, related_name="inconsistent")
    customer_id = models.CharField(max_length=128)
    findings = models.JSONField()
    repaired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["check_made", "customer_id"], name="inconsistent_customer_is_kept_once"),
        ]
        indexes = [
            # Finds what an erasure has to delete.
            models.Index(fields=["customer_id"], name="inconsistent_customer"),
        ]

    def __str__(self) -> str:
        return self.customer_id
