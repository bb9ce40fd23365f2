"""Sets of versions that are retired already: the active one is superseded, those on their way are drafts again."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

UNDER_WAY = ["proposed", "approved", "scheduled"]
DRAFT = {
    "state": "draft", "activate_at": None, "shadow_since": None, "approved_by": None, "approved_at": None,
}  # fmt: skip


def end(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    step_model = apps.get_model("features", "WeightSetStep")
    sets = apps.get_model("features", "WeightSet").objects.filter(version__state="retired").select_related("version")
    for states, action, changes in (
        (["active"], "superseded", {"state": "superseded"}),
        (UNDER_WAY, "sent_back", DRAFT),
    ):
        for weight_set in sets.filter(state__in=states):
            sets.filter(pk=weight_set.pk).update(**changes)
            reason = f"behavioral:{weight_set.version.number} is retired."
            step_model.objects.create(weight_set=weight_set, action=action, reason=reason)


class Migration(migrations.Migration):
    dependencies = [("features", "0017_runs_of_versions")]

    operations = [migrations.RunPython(end, migrations.RunPython.noop)]
