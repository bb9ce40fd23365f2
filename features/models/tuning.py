"""Evaluations of weights before they are active: backtests, shadow days, fittings."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from features.models.weights import WeightSet


class Backtest(models.Model):
    """A measure of how well a set's scores predict later purchases on past days, compared with the active set."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="backtests")
    against = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="+")
    numbers = models.JSONField()
    first_day = models.DateField()
    last_day = models.DateField()
    every_days = models.PositiveSmallIntegerField()
    horizon_days = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    result = models.JSONField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(first_day__lte=F("last_day"), every_days__gt=0, horizon_days__gt=0),
                name="backtest_days_are_in_order",
            ),
            models.CheckConstraint(
                condition=Q(state="running", result__isnull=True) | Q(state="done", result__isnull=False),
                name="backtest_is_done_with_a_result",
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Backtest of {self.weight_set}: {self.done} of {self.total} days"


class BacktestDay(models.Model):
    """The columns of a scored day.

    Kept until the backtest is done, so that another worker need not compute them again.
    """

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    columns = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["backtest", "day"], name="backtest_day_is_scored_once")]

    def __str__(self) -> str:
        return f"{self.day} of backtest {self.backtest_id}"


class ShadowDay(models.Model):
    """A day's scores under a set in shadow, compared with those of the active set for the same customers."""

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="shadow_days")
    against = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    customers = models.PositiveIntegerField()
    mean_active = models.FloatField()
    mean_shadow = models.FloatField()
    mean_difference = models.FloatField(help_text="Mean of the sizes of the customers' differences.")
    rank_correlation = models.FloatField(null=True)
    observed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["weight_set", "day"], name="shadow_day_is_kept_once")]
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.weight_set} in shadow on {self.day}"


class Fitting(models.Model):
    """The outcome of an attempt to fit weights to later purchases, in words, with the proposed set if there is one."""

    at = models.DateTimeField(db_default=Now())
    outcome = models.TextField()
    # The fitted weights, as a backtest stores its own; null where nothing could be fitted.
    numbers = models.JSONField(null=True)
    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, null=True, related_name="fittings")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.outcome
