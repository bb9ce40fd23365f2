"""The command `manage.py bootstrap`."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from events.models import Event
from featurehub.devserver.first_start import ADMIN, ensure_admin, ensure_demo_key
from features.demo import loading

DEMO_LOADED = "demo-loaded"
NAMES = "engagement_score,purchases_30d,recency_score"


class Command(BaseCommand):
    help = "Prepares `make run`: creates the admin user and a demo API key, and loads the demo data once."

    def handle(self, *args: Any, **options: Any) -> None:
        password = ensure_admin(settings.LOCAL_DIR, password=settings.ADMIN_PASSWORD)
        self.load_demo_once()
        key = ensure_demo_key(settings.LOCAL_DIR)
        self.describe(password=password, key=key)

    def load_demo_once(self) -> None:
        """Load the demo data on the first start, or on the next one if that was interrupted.

        Never among events that do not belong to the demo.
        """
        marker = settings.LOCAL_DIR / DEMO_LOADED
        if marker.exists():
            return
        if not Event.objects.exists() or loading.is_loaded():
            call_command("load_demo", stdout=self.stdout)
        marker.touch()

    def describe(self, *, password: str | None, key: str) -> None:
        address = f"http://127.0.0.1:{settings.PORT}"
        demo = loading.summarise()
        customer_id = demo.example_id if demo is not None else "CUSTOMER_ID"
        login = f"user {ADMIN}, " + self.describe_password(password)
        self.stdout.write(
            f"\n  Admin     {address}/admin/   {login}"
            f"\n  API       {address}/api/docs/"
            f"\n  API key   {key}"
            f"\n  Try       curl -H 'Authorization: Api-Key {key}' "
            f"'{address}/api/v1/customers/{customer_id}/features/?names={NAMES}'\n"
        )

    def describe_password(self, password: str | None) -> str:
        if password is None:
            return (
                "the password that was given or set before (forgotten: .venv/bin/python manage.py changepassword admin)"
            )
        if password == settings.ADMIN_PASSWORD:
            return "the password in FEATUREHUB_ADMIN_PASSWORD"
        return f"password {password}"
