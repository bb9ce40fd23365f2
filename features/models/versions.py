"""Versions of feature views, the recorded steps of their life, and the API keys that use them."""

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from featurehub.access.models import ApiKey
from features.models.definitions import FeatureDefinition, FeatureType


class FeatureVersion(models.Model):
    """A feature view: definitions of one type that are computed, published and read together.

    States: draft → shadow → live → deprecated → retired, and deprecated → live. Definitions change in a draft only, but
    features that clients write may be added later. Triggers enforce both.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        SHADOW = "shadow"
        LIVE = "live"
        DEPRECATED = "deprecated"
        RETIRED = "retired"

    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    number = models.CharField(max_length=16, validators=[RegexValidator(r"^\d+(\.\d+)*$", "A version looks like 1.0.")])
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT)
    definitions = models.ManyToManyField(FeatureDefinition, related_name="versions", blank=True)
    # Of a derived version: feature type → the number of the version whose values it is computed from.
    inputs = models.JSONField(default=dict, blank=True)
    # In seconds; older values are read as expired. Null: values do not expire.
    time_to_live = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    # The moment from which readers get it by default. Set ahead, so that all processes switch at once.
    live_from = models.DateTimeField(null=True, editable=False)
    # Of a live version with weights that were carried over: readers are switched to it, and `live_from` is set, when
    # everybody is scored with them.
    is_awaiting_scores = models.BooleanField(db_default=False, editable=False)
    # Set where its computation failed: it is no longer computed, until an operator has all its values computed again.
    # That takes it up: it is computed from then on, and put aside no more when everybody's values are computed.
    put_aside_at = models.DateTimeField(null=True, editable=False)
    put_aside_because = models.TextField(blank=True, db_default="", editable=False)
    is_taken_up = models.BooleanField(db_default=False, editable=False)

    class Meta:
        permissions = [("release_featureversion", "Can put versions into shadow, live and out of use")]
        constraints = [
            models.UniqueConstraint(fields=["feature_type", "number"], name="version_is_unique"),
            models.UniqueConstraint(fields=["feature_type"], condition=Q(state="live"), name="version_one_live"),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "shadow", "live", "deprecated", "retired"]),
                name="version_state_is_known",
            ),
            models.CheckConstraint(
                # A version that was replaced before its readers were switched to it has no date.
                condition=~Q(state="live") | Q(live_from__isnull=False) | Q(is_awaiting_scores=True),
                name="version_that_went_live_is_dated",
            ),
            models.CheckConstraint(
                condition=Q(is_awaiting_scores=False) | Q(state="live"), name="version_awaiting_scores_goes_live"
            ),
            models.CheckConstraint(
                condition=Q(time_to_live__isnull=True) | Q(time_to_live__gt=0), name="version_time_to_live_is_positive"
            ),
            models.CheckConstraint(
                condition=Q(put_aside_at__isnull=True) | ~Q(put_aside_because=""), name="version_put_aside_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(is_taken_up=False) | Q(put_aside_at__isnull=False), name="version_taken_up_was_put_aside"
            ),
        ]
        ordering = ["feature_type", "number"]

    def __str__(self) -> str:
        return f"{self.feature_type}:{self.number}"


READABLE_STATES = (FeatureVersion.State.SHADOW, FeatureVersion.State.LIVE, FeatureVersion.State.DEPRECATED)


class FeatureVersionStep(models.Model):
    """A recorded step in the life of a version: who, when and why.

    Append-only: a trigger enforces it.
    """

    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, related_name="steps")
    state = models.CharField(max_length=16, choices=FeatureVersion.State.choices)
    # Null: FeatureHub itself.
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_state_display()} at {self.at.isoformat()}"


class VersionUse(models.Model):
    """The last time, to the hour, at which an API key read a version or wrote values of it.

    It tells which programs would miss the version.
    """

    class Kind(models.TextChoices):
        READ = "read"
        WRITE = "write"

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="version_uses")
    version = models.ForeignKey(FeatureVersion, on_delete=models.CASCADE, related_name="uses", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Its index also finds the readers and writers of a version.
            models.UniqueConstraint(fields=["version", "api_key", "kind"], name="version_use_is_unique"),
            models.CheckConstraint(condition=Q(kind__in=["read", "write"]), name="version_use_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.version} by {self.api_key} at {self.used_at.isoformat()}"
