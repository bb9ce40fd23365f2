"""Definitions files that were applied."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AppliedFile(models.Model):
    """A definitions file that changed something here: who applied it, when and why, and what became of each part.

    The activity log shows it. It is the record of event types and definitions; versions and weight sets have steps of
    their own, besides.
    """

    file = models.CharField(max_length=255)
    # Null: a command without a user.
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField()
    # In words: "made event type trial_started; changed definition churn_score".
    changes = models.TextField()

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(changes=""), name="applied_file_changed_something")]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.file} at {self.at.isoformat()}"
