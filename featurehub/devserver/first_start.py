"""The admin user and the demo key of a first start. Their secrets stay in the local folder, to be shown again."""

from pathlib import Path
from secrets import token_urlsafe

from django.contrib.auth.models import User
from django.db import transaction

from featurehub.access.models import ApiKey, Scope, create_api_key, hash_key
from featurehub.devserver.secret_files import write_private

ADMIN = "admin"
ADMIN_PASSWORD_FILE = "admin-password"  # noqa: S105 - a file's name
DEMO_KEY = "Demo"
DEMO_KEY_FILE = "demo-api-key"


def ensure_admin(folder: Path, *, password: str | None) -> str | None:
    """Makes the superuser `admin` where there is none. Returns its password, None where it was changed since.

    Without `password` a random one is made. One that differs from the last that was set here is set anew; one that
    the admin has chosen meanwhile stays as long as `password` does.
    """
    file = folder / ADMIN_PASSWORD_FILE
    held = file.read_text() if file.exists() else None
    with transaction.atomic():
        admin = User.objects.select_for_update().filter(username=ADMIN).first()
        if admin is None:
            held = password or token_urlsafe(12)
            User.objects.create_superuser(ADMIN, password=held)
        elif password is not None and password != held:
            held = password
            admin.set_password(password)
            admin.save(update_fields=["password"])
        elif held is None or not admin.check_password(held):
            return None
        write_private(file, held)
    return held


def ensure_demo_key(folder: Path) -> str:
    """The text of a key with every scope: the one in the local folder as long as it is valid, else a new one."""
    file = folder / DEMO_KEY_FILE
    held = file.read_text() if file.exists() else ""
    scopes = list(Scope.values)
    if ApiKey.objects.filter(hashed_key=hash_key(held), revoked_at__isnull=True, scopes__contains=scopes).exists():
        return held
    with transaction.atomic():
        _, key = create_api_key(DEMO_KEY, scopes=scopes)
        write_private(file, key)
    return key
