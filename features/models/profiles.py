"""Daily profiles of feature values, what they are compared with, and how many events came in each hour."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from events.event_types import EVENT_TYPE_PATTERN, LONGEST_EVENT_TYPE


class ProfiledDay(models.Model):
    """A day whose values are profiled: those that held at its end, of a random sample of the customers of then."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"

    day = models.DateField(unique=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    # The sample is everybody: there are no more customers than it would have.
    is_everybody = models.BooleanField()
    # Sampled customers that are still to be read. Empty when the day is done.
    waiting = ArrayField(models.CharField(max_length=128), default=list)
    customers = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", done_at__isnull=True)
                | Q(state="done", done_at__isnull=False, waiting__len=0),
                name="profiled_day_is_done_with_a_date",
            ),
        ]
        ordering = ["-day"]

    def __str__(self) -> str:
        return f"Values of {self.day}"


class ProfilePart(models.Model):
    """The columns of some customers of a day, kept until the day is done."""

    day = models.ForeignKey(ProfiledDay, on_delete=models.CASCADE, related_name="parts")
    columns = models.BinaryField()

    def __str__(self) -> str:
        return f"Part of {self.day}"


class FeatureProfile(models.Model):
    """The distribution of a feature's values on a day; see `features.formulas.distributions`."""

    day = models.ForeignKey(ProfiledDay, on_delete=models.CASCADE, related_name="features", db_index=False)
    feature_type = models.CharField(max_length=16)
    version = models.CharField(max_length=16)
    name = models.CharField(max_length=64)
    customers = models.PositiveIntegerField()
    missing = models.PositiveIntegerField()
    mean = models.FloatField(null=True)
    edges = ArrayField(models.FloatField())
    shares = ArrayField(models.FloatField())

    class Meta:
        constraints = [
            # Its index also finds the profiles of a day.
            models.UniqueConstraint(fields=["day", "name"], name="feature_profile_is_kept_once"),
            models.CheckConstraint(
                condition=Q(missing__lte=F("customers")), name="feature_profile_missing_are_customers"
            ),
        ]
        indexes = [models.Index(fields=["name"], name="feature_profile_name")]
        ordering = ["-day__day", "name"]
        verbose_name_plural = "value monitoring"

    def __str__(self) -> str:
        return self.name


class BaselineWeek(models.Model):
    """A week that later days are compared with; the last one that somebody chose is in use."""

    first_day = models.DateField()
    chosen_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    chosen_at = models.DateTimeField(db_default=Now())
    reason = models.TextField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Week from {self.first_day}"


class FeatureThresholds(models.Model):
    """The thresholds above which a feature has shifted; a feature without a row has the usual ones."""

    name = models.CharField(max_length=64, unique=True)
    stability_index = models.FloatField()
    largest_distance = models.FloatField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stability_index__gt=0, largest_distance__gt=0, largest_distance__lte=1),
                name="feature_thresholds_are_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"Thresholds of {self.name}"


class EventHour(models.Model):
    """The number of events of a type that happened in an hour, of those that arrived within some hours."""

    hour = models.DateTimeField()
    event_type = models.CharField(max_length=LONGEST_EVENT_TYPE)
    events = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "event_type"], name="event_hour_is_kept_once"),
            models.CheckConstraint(condition=Q(event_type__regex=EVENT_TYPE_PATTERN), name="event_hour_type_is_a_word"),
        ]

    def __str__(self) -> str:
        return f"{self.events} {self.event_type} from {self.hour.isoformat()}"
