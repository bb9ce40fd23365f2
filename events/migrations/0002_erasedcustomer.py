from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="ErasedCustomer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("customer_hash", models.BinaryField(max_length=32, unique=True)),
                ("erased_at", models.DateTimeField(db_default=Now(), editable=False)),
            ],
            options={"ordering": ["-id"]},
        ),
    ]
