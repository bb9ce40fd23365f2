"""Feature definitions: a name, its meaning and how it is computed."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from events.event_types import LONGEST_EVENT_TYPE


class FeatureType(models.TextChoices):
    CUSTOMER = "customer"
    BEHAVIORAL = "behavioral"
    CONTEXTUAL = "contextual"
    DERIVED = "derived"


# The types whose values clients write; the others are computed.
WRITTEN_BY_CLIENTS = (FeatureType.CUSTOMER, FeatureType.CONTEXTUAL)
FEATURE_NAME = r"^[a-z][a-z0-9_]*$"
LONGEST_FEATURE_NAME = 64
# How many features customer lists show and are sorted by; each of them costs every computation a little.
LIST_PLACES = 8
# 90 days of 24 hours; the narrowest window is an hour.
WIDEST_WINDOW_HOURS = 90 * 24


class FeatureDefinition(models.Model):
    """A feature: its name, its meaning and the values that it may take. A name belongs to one feature type.

    Behavioral features are computed by the formulas or, where they have a `kind`, as windowed features; derived ones by
    their `expression`; clients write the others. Once a version computes a name, its meaning can't change: a trigger
    enforces it.
    """

    class Kind(models.TextChoices):
        COUNT = "count", "Count of events"
        SUM = "sum", "Sum of a metadata key"
        MEAN = "mean", "Mean of a metadata key"
        MAX = "max", "Largest value of a metadata key"
        LAST = "last", "Last value of a metadata key"
        DISTINCT = "distinct", "Number of different values of a metadata key"

    name = models.CharField(
        max_length=LONGEST_FEATURE_NAME,
        unique=True,
        validators=[RegexValidator(FEATURE_NAME, "Use lower-case letters, digits and underscores.")],
    )
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    description = models.TextField(blank=True)
    owner = models.CharField(max_length=128, blank=True)
    unit = models.CharField(max_length=32, blank=True)
    # The answer of a read where there is no value; `missing` then has the name.
    default = models.FloatField(default=0.0)
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)
    kind = models.CharField(max_length=16, choices=Kind.choices, blank=True)
    # The events that count, of a registered type; empty: all.
    event_type = models.CharField(max_length=LONGEST_EVENT_TYPE, blank=True)
    category = models.TextField(null=True, blank=True)  # noqa: DJ001 - an empty category is not the absence of one
    metadata_key = models.CharField(
        max_length=64,
        blank=True,
        validators=[RegexValidator(r"^[A-Za-z0-9_.-]+$", "Use letters, digits, underscores, dots and dashes.")],
    )
    window_hours = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(WIDEST_WINDOW_HOURS)]
    )
    half_life_days = models.FloatField(null=True, blank=True)
    expression = models.TextField(blank=True)
    # Its place, from 1, among the columns of customer lists, which are sorted by these features; null: not listed.
    list_place = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(LIST_PLACES)]
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="definition_feature_type_is_known"
            ),
            models.CheckConstraint(condition=Q(minimum__lte=F("maximum")), name="definition_range_is_not_empty"),
            models.CheckConstraint(
                condition=Q(kind="", window_hours__isnull=True)
                | Q(feature_type="behavioral", window_hours__gte=1, window_hours__lte=WIDEST_WINDOW_HOURS),
                name="definition_window_is_behavioral",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["", "count"], metadata_key="")
                | (Q(kind__in=["sum", "mean", "max", "last", "distinct"]) & ~Q(metadata_key="")),
                name="definition_kind_has_its_key",
            ),
            models.CheckConstraint(
                condition=Q(half_life_days__isnull=True) | Q(kind__in=["count", "sum", "mean"], half_life_days__gt=0),
                name="definition_half_life_is_of_a_kind_that_decays",
            ),
            models.CheckConstraint(
                condition=Q(expression="") | Q(feature_type="derived"), name="definition_expression_is_derived"
            ),
            models.CheckConstraint(
                condition=Q(list_place__isnull=True) | Q(list_place__gte=1, list_place__lte=LIST_PLACES),
                name="definition_list_place_exists",
            ),
            models.UniqueConstraint(fields=["list_place"], name="definition_list_place_is_taken_once"),
        ]
        ordering = ["feature_type", "name"]

    def __str__(self) -> str:
        return self.name
