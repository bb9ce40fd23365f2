"""What is registered: definitions, and the versions they are read in."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q


class FeatureType(models.TextChoices):
    CUSTOMER = "customer"
    BEHAVIORAL = "behavioral"
    CONTEXTUAL = "contextual"
    DERIVED = "derived"


class FeatureDefinition(models.Model):
    """A name, what it means and what values it may take. A name belongs to one feature type."""

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]*$", "Use lower-case letters, digits and underscores.")],
    )
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    description = models.TextField(blank=True)
    owner = models.CharField(max_length=128, blank=True)
    unit = models.CharField(max_length=32, blank=True)
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="definition_feature_type_is_known"
            ),
            models.CheckConstraint(condition=Q(minimum__lte=F("maximum")), name="definition_range_is_not_empty"),
        ]
        ordering = ["feature_type", "name"]

    def __str__(self) -> str:
        return self.name


class FeatureVersion(models.Model):
    """A set of definitions of one type that is computed, published and read together."""

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

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feature_type", "number"], name="version_is_unique"),
            models.UniqueConstraint(fields=["feature_type"], condition=Q(state="live"), name="version_one_live"),
        ]
        ordering = ["feature_type", "number"]

    def __str__(self) -> str:
        return f"{self.feature_type}:{self.number}"
