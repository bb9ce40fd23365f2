"""Customers, their renewals, their append-only feature history, and publications."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now

from features.models.definitions import FeatureType
from features.models.weights import WeightSet

BUCKETS = 256  # `features_bucket` of migration 0034 knows it, too
# The part of all customers with which one is renewed: 0 to BUCKETS - 1, fixed by the id. It is no generated column:
# PostgreSQL 18 prepares the expression of one again for each row that an update writes, which takes 3 µs.
BUCKET = Func("customer_id", function="features_bucket", output_field=models.SmallIntegerField())


class Customer(models.Model):
    """A customer, with the inputs of the last computation and the moment from which its result is outdated."""

    customer_id = models.CharField(max_length=128, primary_key=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    # The as_of of the newest behavioral computation, also if it changed no value. Renewals do not change it.
    computed_at = models.DateTimeField(null=True)
    # When the first counted event leaves its window; null: no event is counted.
    recompute_at = models.DateTimeField(null=True)
    # The weight set that had been activated last, of any version, at that computation. What was activated is never
    # deleted, and for PostgreSQL to look that up for each customer would cost 4 µs.
    weight_set = models.ForeignKey(
        WeightSet, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    # The newest event that a computation has counted; it stays when the event has left the window.
    last_seen_at = models.DateTimeField(null=True)
    # What customer lists are sorted and filtered by (decision 18), at `computed_at`; none of it is indexed, so that a
    # computation pays for the row alone. `listed_of` is the checksum of what the numbers are: with another one than
    # that of today's lists, `features.materialization.customer_lists` has still to fill them in.
    listed = ArrayField(models.FloatField(null=True), null=True)
    listed_of = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            # Finds departed customers: `recompute_at < now`.
            models.Index(fields=["recompute_at"], name="customer_recompute", condition=Q(recompute_at__isnull=False)),
            # For work on all customers in parts: renewals, thinning of the history.
            models.Index(BUCKET, name="customer_bucket"),
            # Finds customers to be re-scored: `weight_set = (an earlier one) order by customer_id`.
            models.Index(fields=["weight_set", "customer_id"], name="customer_rescore"),
        ]

    def __str__(self) -> str:
        return self.customer_id


class Renewal(models.Model):
    """A bucket of customers that are renewed together, before their TTL ends.

    A migration creates all BUCKETS rows. The result of a customer's last computation holds until an event leaves the
    window (`recompute_at`). One moment therefore tells for a whole bucket until when results are known to hold, and a
    renewal writes no customer's row.
    """

    bucket = models.SmallIntegerField(primary_key=True)
    # The values of the bucket's active customers hold at this moment, except where `recompute_at` is before it.
    renewed_at = models.DateTimeField(null=True)
    # When the next renewal is due; during a claim, the end of the lease: then the claiming worker is presumed dead.
    due_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"Bucket {self.bucket}"


class CustomerFeature(models.Model):
    """A row of the history: these values hold from `timestamp` on.

    Append-only: a trigger enforces it.
    """

    customer_id = models.CharField(max_length=128)
    feature_type = models.CharField(max_length=16, choices=FeatureType.choices)
    version = models.CharField(max_length=16)
    timestamp = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    features = models.JSONField()
    metadata = models.JSONField(default=dict)

    class Meta:
        verbose_name = "row of the feature history"
        verbose_name_plural = "feature history"
        constraints = [
            models.CheckConstraint(
                condition=Q(feature_type__in=FeatureType.values), name="customer_feature_type_is_known"
            ),
        ]
        indexes = [
            # Finds the row that holds at a moment: `… and timestamp <= ? order by timestamp desc, id desc limit 1`.
            models.Index(
                fields=["customer_id", "feature_type", "version", "-timestamp", "-id"], name="customer_feature_as_of"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_type}:{self.version} at {self.timestamp.isoformat()}"


class Publication(models.Model):
    """A row of the outbox: customers that a transaction has changed and that are to be published after it.

    See `features.online.outbox`.
    """

    customer_ids = ArrayField(models.CharField(max_length=128))
    created_at = models.DateTimeField(db_default=Now())
    # From this moment on its writer is presumed dead, and the sweep publishes it.
    due_at = models.DateTimeField()
    # Null until Redis has taken it; it is kept for some seconds longer, since Redis may lose what it has just taken.
    published_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{len(self.customer_ids)} customers from {self.created_at.isoformat()}"


class OnlineStore(models.Model):
    """The one row that says which Redis holds everything that was published; see `features.materialization.recovery`.

    An identity changes with every start of a Redis and with every failover.
    """

    identity = models.CharField(max_length=128, blank=True)
    # When Redis was seen last with this identity.
    checked_at = models.DateTimeField(db_default=Now())
    # Another Redis, into which what it may lack is being published since `found_at`.
    found = models.CharField(max_length=128, blank=True)
    found_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.identity
