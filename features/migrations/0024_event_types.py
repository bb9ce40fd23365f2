from django.db import migrations, models

PATTERN = "^[a-z][a-z0-9_]{0,63}$"


class Migration(migrations.Migration):
    """Weights, hours and windows may be of any registered event type."""

    dependencies = [("features", "0023_feature_sets"), ("events", "0005_first_event_types")]

    operations = [
        migrations.RunSQL(
            "lock table features_eventhour, features_featuredefinition, features_weight", migrations.RunSQL.noop
        ),
        migrations.RemoveConstraint(model_name="weight", name="weight_event_type_is_known"),
        migrations.AlterField(model_name="weight", name="event_type", field=models.CharField(max_length=64)),
        migrations.AddConstraint(
            model_name="weight",
            constraint=models.CheckConstraint(
                condition=models.Q(event_type__regex=PATTERN), name="weight_event_type_is_a_word"
            ),
        ),
        migrations.RemoveConstraint(model_name="eventhour", name="event_hour_type_is_known"),
        migrations.AlterField(model_name="eventhour", name="event_type", field=models.CharField(max_length=64)),
        migrations.AddConstraint(
            model_name="eventhour",
            constraint=models.CheckConstraint(
                condition=models.Q(event_type__regex=PATTERN), name="event_hour_type_is_a_word"
            ),
        ),
        migrations.AlterField(
            model_name="featuredefinition", name="event_type", field=models.CharField(blank=True, max_length=64)
        ),
    ]
