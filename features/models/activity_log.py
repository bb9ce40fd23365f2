"""The activity log: the steps, the admin's log and what FeatureHub did by itself, as one list."""

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.db import models

from features.models.versions import FeatureVersion
from features.models.weights import WeightSetStep


class ActivityLogEntry(models.Model):
    """A row of a database view over what is recorded elsewhere: who did what to which object, when and why.

    `object_id` is empty where there is no such object any more. `action` and `message` are as their source keeps them;
    `what` says them in words.
    """

    class Kind(models.TextChoices):
        WEIGHTS = "weights", "Weights"
        VERSIONS = "versions", "Versions"
        DEFINITIONS = "definitions", "Feature definitions"
        FEATURE_SETS = "feature_sets", "Feature sets"
        API_KEYS = "api_keys", "API keys"
        TASKS = "tasks", "Periodic tasks"
        ERASURES = "erasures", "Erasures"
        REPAIRS = "repairs", "Checks and repairs"
        PEOPLE = "people", "Users and roles"
        DOWNLOADS = "downloads", "Downloads"
        LOGINS = "logins", "Failed logins"
        OTHER = "other", "Other"

    id = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()
    # Null: FeatureHub itself, a command or a program.
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False
    )
    kind = models.CharField(max_length=16, choices=Kind.choices)
    source = models.CharField(max_length=16)
    action = models.CharField(max_length=32)
    message = models.TextField()
    subject = models.TextField()
    why = models.TextField()
    app_label = models.CharField(max_length=100)
    model_name = models.CharField(max_length=100)
    object_id = models.TextField()

    class Meta:
        managed = False
        db_table = "features_activitylogentry"
        verbose_name = "activity"
        verbose_name_plural = "activity log"
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.what}: {self.subject}"

    @property
    def what(self) -> str:
        """Return what was done, in words."""
        if self.source == "weights":
            return str(WeightSetStep.Action(self.action).label)
        if self.source == "versions":
            return f"Recorded as {FeatureVersion.State(self.action).label.lower()}"
        if self.source == "log":
            # Of a change by a form, Django keeps the names of the fields as JSON.
            logged = LogEntry(action_flag=int(self.action), change_message=self.message)
            word = {1: "Added", 2: "Changed", 3: "Deleted"}.get(logged.action_flag, "")
            return logged.get_change_message() or f"{word}."
        return self.message
