"""Weight sets: their numbers, and the recorded steps of their life."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from events.event_types import EVENT_TYPE_PATTERN, LONGEST_EVENT_TYPE
from features.models.versions import FeatureVersion

INFINITY = float("inf")  # NaN sorts above infinity in PostgreSQL, so `< Infinity` refuses both


def above_zero(number: float) -> None:
    """Raise ValidationError for a norm that is not greater than 0.

    Counts are divided by it.
    """
    if not number > 0:
        raise ValidationError("A norm is greater than 0.", code="min_value")


class WeightSet(models.Model):
    """The weight and norm of each event type in `engagement_score`, and the monetary norm.

    The numbers change in a draft only: a trigger enforces it.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        PROPOSED = "proposed"
        APPROVED = "approved"
        SCHEDULED = "scheduled"
        ACTIVE = "active"
        SUPERSEDED = "superseded"

    class Origin(models.TextChoices):
        HAND = "hand"
        PROPOSAL = "proposal"
        ROLLBACK = "rollback"

    version = models.ForeignKey(FeatureVersion, on_delete=models.PROTECT, related_name="weight_sets")
    name = models.CharField(max_length=128)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT, editable=False)
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.HAND, editable=False)
    reason = models.TextField("why", help_text="What should get better with these weights? It is kept with the set.")
    monetary_norm = models.FloatField(
        default=1000.0,
        validators=[above_zero],
        help_text="The purchase amount of 30 days that gives a monetary_score of 1.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    approved_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The moment at which a scheduled set is activated.
    activate_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The moment since which it is scored beside the active set. No API shows these scores.
    shadow_since = models.DateTimeField(null=True, blank=True, editable=False)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        permissions = [
            ("approve_weightset", "Can approve weight sets"),
            ("activate_weightset", "Can schedule, activate and roll back weight sets"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["version"], condition=Q(state="active"), name="weight_set_one_active"),
            models.CheckConstraint(
                condition=Q(monetary_norm__gt=0, monetary_norm__lt=INFINITY),
                name="weight_set_monetary_norm_is_positive",
            ),
            # A set that goes back to draft loses its approval. The condition also refuses unknown states.
            models.CheckConstraint(
                condition=Q(state__in=["draft", "proposed"], approved_at__isnull=True)
                | Q(state__in=["approved", "scheduled"], approved_at__isnull=False)
                | Q(state__in=["active", "superseded"]),
                name="weight_set_approval_is_dated",
            ),
            # The days of a shadow are compared with one another, so its numbers must not change meanwhile.
            models.CheckConstraint(
                condition=Q(shadow_since__isnull=True) | Q(state__in=["proposed", "approved", "scheduled"]),
                name="weight_set_in_shadow_does_not_change",
            ),
            models.CheckConstraint(
                condition=Q(state="scheduled", activate_at__isnull=False)
                | (~Q(state="scheduled") & Q(activate_at__isnull=True)),
                name="weight_set_schedule_has_a_moment",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["active", "superseded"], activated_at__isnull=False)
                | (~Q(state__in=["active", "superseded"]) & Q(activated_at__isnull=True)),
                name="weight_set_activation_is_dated",
            ),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} (#{self.pk})"

    @property
    def standing(self) -> str:
        """The state with the version and its state, such as "Active in behavioral:1.0 (deprecated)"."""
        relation = "in" if self.activated_at is not None else "for"
        return f"{self.get_state_display()} {relation} {self.version} ({self.version.get_state_display().lower()})"

    @property
    def makes_live_scores(self) -> bool:
        """The claim that the set is active in the live version."""
        return self.state == self.State.ACTIVE and self.version.state == FeatureVersion.State.LIVE


class WeightSetStep(models.Model):
    """A recorded step in the life of a weight set: who, when and why.

    Append-only: a trigger enforces it.
    """

    class Action(models.TextChoices):
        CREATED = "created", "Drafted"
        EDITED = "edited", "Changed"
        PROPOSED = "proposed", "Proposed"
        SENT_BACK = "sent_back", "Sent back to draft"
        APPROVED = "approved", "Approved"
        SCHEDULED = "scheduled", "Scheduled"
        UNSCHEDULED = "unscheduled", "Schedule cancelled"
        ACTIVATED = "activated", "Activated"
        SUPERSEDED = "superseded", "Superseded"
        SHADOWED = "shadowed", "Put into shadow"
        UNSHADOWED = "unshadowed", "Taken out of shadow"
        CARRIED = "carried", "Carried over"

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="steps")
    action = models.CharField(max_length=16, choices=Action.choices)
    # Null: FeatureHub itself.
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    action__in=[
                        "created", "edited", "proposed", "sent_back", "approved",
                        "scheduled", "unscheduled", "activated", "superseded", "shadowed", "unshadowed",
                        "carried",
                    ]
                ),
                name="weight_set_step_action_is_known",
            ),
        ]  # fmt: skip
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_action_display()} at {self.at.isoformat()}"


class Weight(models.Model):
    """The numbers of one event type, which contributes weight × min(count / norm, 1) to the unclamped score."""

    weight_set = models.ForeignKey(WeightSet, on_delete=models.CASCADE, related_name="weights")
    event_type = models.CharField(max_length=LONGEST_EVENT_TYPE)
    weight = models.FloatField(
        validators=[MinValueValidator(0.0, "A weight is at least 0.")],
        help_text="What this event type adds to the score at its norm.",
    )
    norm = models.FloatField(
        validators=[above_zero],
        help_text="The count at which this event type contributes its whole weight.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["weight_set", "event_type"], name="weight_one_per_event_type"),
            models.CheckConstraint(
                condition=Q(event_type__regex=EVENT_TYPE_PATTERN), name="weight_event_type_is_a_word"
            ),
            models.CheckConstraint(condition=Q(weight__gte=0, weight__lt=INFINITY), name="weight_is_not_negative"),
            models.CheckConstraint(condition=Q(norm__gt=0, norm__lt=INFINITY), name="weight_norm_is_positive"),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.event_type}: {self.weight} per {self.norm}"
