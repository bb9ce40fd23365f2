"""Customers, when they were last computed and renewed, their append-only feature history, and what to publish."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now

from features.models.definitions import FeatureType
from features.models.weights import WeightSet

BUCKETS = 256  # a power of two


class Customer(models.Model):
    """The entity. One row a customer: what the last computation was based on, and when it stops being right."""

    customer_id = models.CharField(max_length=128, primary_key=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    # The as_of of the newest behavioral computation, whether or not it changed a value; renewals need none.
    computed_at = models.DateTimeField(null=True)
    # When the oldest counted event leaves the window; none counted: none leaves.
    recompute_at = models.DateTimeField(null=True)
    # The weight set that computation used.
    weight_set = models.ForeignKey(WeightSet, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    # The part of all customers that this one is renewed with: 0 to BUCKETS - 1, the same for an id forever.
    bucket = models.GeneratedField(
        expression=Func(
            F("customer_id"), Value(0), function="hashtextextended", output_field=models.BigIntegerField()
        ).bitand(BUCKETS - 1),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )

    class Meta:
        indexes = [
            # The refresh of values that an event leaving the window changed: `recompute_at < now`.
            models.Index(fields=["recompute_at"], name="customer_recompute", condition=Q(recompute_at__isnull=False)),
            # Work that takes all customers in parts: renewals, thinning the history.
            models.Index(fields=["bucket"], name="customer_bucket"),
            # Who is still to be re-scored: `weight_set = (an earlier one) order by customer_id`.
            models.Index(fields=["weight_set", "customer_id"], name="customer_rescore"),
        ]

    def __str__(self) -> str:
        return self.customer_id


class Renewal(models.Model):
    """One bucket of customers, renewed together before their TTL ends: BUCKETS rows, made by a migration.

    What a customer's last computation found holds until an event leaves the window (`recompute_at`), so that one
    moment says for a whole bucket up to when it is known to hold, and no customer's row is written to renew it.
    """

    bucket = models.SmallIntegerField(primary_key=True)
    # The values of the bucket's active customers hold at this moment, unless one has lost an event before it.
    renewed_at = models.DateTimeField(null=True)
    # When it is renewed next. Claimed: when somebody else may assume that the claimer has died.
    due_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"Bucket {self.bucket}"


class CustomerFeature(models.Model):
    """One row of the history: these values held from `timestamp` on. Only ever appended (a trigger holds it)."""

    customer_id = models.CharField(max_length=128)
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    version = models.CharField(max_length=16)
    timestamp = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    features = models.JSONField()
    metadata = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="customer_feature_type_is_known"
            ),
        ]
        indexes = [
            # The row that holds at a moment: `… and timestamp <= ? order by timestamp desc, id desc limit 1`.
            models.Index(
                fields=["customer_id", "feature_type", "version", "-timestamp", "-id"], name="customer_feature_as_of"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_type}:{self.version} at {self.timestamp.isoformat()}"


class Publication(models.Model):
    """Customers who were changed by a transaction and are to be published after it: see `features.online.outbox`."""

    customer_ids = ArrayField(models.CharField(max_length=128))
    # From then on whoever has written it may have died.
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{len(self.customer_ids)} customers from {self.due_at.isoformat()}"
