"""Feature sets: named, numbered lists of features pinned to versions, and the API keys that read by them."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from featurehub.access.models import ApiKey

SET_NAME = r"^[a-z][a-z0-9_]{0,63}$"
SET_NAME_RULE = "A set's name begins with a letter and has lower-case letters, digits and underscores, at most 64."
MOST_NAMES = 500


class FeatureSet(models.Model):
    """The features that a model takes, in their order, and the version that each type of them is read in.

    Written `churn_model:3`. Immutable, and never deleted: a trigger enforces it, so that what a model was trained on is
    what it is served.
    """

    name = models.CharField(max_length=64, validators=[RegexValidator(SET_NAME, SET_NAME_RULE)])
    # Counts up by itself for a name, from 1.
    number = models.PositiveIntegerField()
    names = ArrayField(models.CharField(max_length=64))
    # Feature type → number of the version, one for each type of a name.
    versions = models.JSONField()
    # Both null: code or a command.
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    made_with = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    made_at = models.DateTimeField(db_default=Now())
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "number"], name="feature_set_is_unique"),
            models.CheckConstraint(condition=Q(name__regex=SET_NAME), name="feature_set_name_is_well_formed"),
            models.CheckConstraint(condition=Q(number__gte=1), name="feature_set_number_is_positive"),
            models.CheckConstraint(
                condition=Q(names__len__gte=1, names__len__lte=MOST_NAMES), name="feature_set_has_features"
            ),
        ]
        ordering = ["name", "-number"]

    def __str__(self) -> str:
        return f"{self.name}:{self.number}"

    @property
    def pins(self) -> list[str]:
        """The versions as readers name them: `behavioral:1.0`."""
        return [f"{feature_type}:{number}" for feature_type, number in sorted(self.versions.items())]


class FeatureSetUse(models.Model):
    """The last time, to the hour, at which an API key read by a set.

    It tells which programs would miss a version that the set pins.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    feature_set = models.ForeignKey(FeatureSet, on_delete=models.CASCADE, related_name="uses", db_index=False)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Its index also finds the readers of a set.
            models.UniqueConstraint(fields=["feature_set", "api_key"], name="feature_set_use_is_unique"),
        ]

    def __str__(self) -> str:
        return f"read of {self.feature_set} by {self.api_key} at {self.used_at.isoformat()}"
