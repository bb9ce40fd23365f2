"""Create the admin user and the demo API key at the first start.

Their secrets are kept in the local folder, to be shown again.
"""

from pathlib import Path
from secrets import token_urlsafe

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction

from featurehub.access.models import ApiKey, Scope, create_api_key, hash_key
from featurehub.devserver.secret_files import write_private

ADMIN = "admin"
ADMIN_PASSWORD_FILE = "admin-password"  # noqa: S105 - name of a file
DEMO_KEY = "Demo"
DEMO_KEY_FILE = "demo-api-key"


def ensure_admin(folder: Path, *, password: str | None) -> str | None:
    """Create the superuser `admin` if there is none, and return its password where it may be shown, else None.

    Without `password`, a random one is made, which is shown again as long as it is valid. With `password`, it is set
    whenever it differs from the last one that was set here; a password chosen by the admin meanwhile is kept as long as
    `password` stays the same. Of a given one the folder keeps a hash, so that no later start shows it. Raise
    ImproperlyConfigured for a weak one.

    The folder gets a random one before the database has it, since it could not be shown otherwise; a given one
    afterwards, since the next start would take it for one that was set.
    """
    if password is not None:
        refuse_weak(password)
    file = folder / ADMIN_PASSWORD_FILE
    held = file.read_text() if file.exists() else None
    with transaction.atomic():
        admin = User.objects.select_for_update().filter(username=ADMIN).first()
        if admin is None:
            shown = password or token_urlsafe(12)
            User.objects.create_superuser(ADMIN, password=shown)
        elif password is not None and not is_same(password, held=held):
            shown = password
            admin.set_password(password)
            admin.save(update_fields=["password"])
        elif held is None or not admin.check_password(password or held):
            return None
        else:
            shown = password or held
        if password is None:
            write_private(file, shown)
    if password is not None:
        write_private(file, make_password(shown))
    return shown


def is_same(password: str, *, held: str | None) -> bool:
    """Return whether the password is the last one that was set here: kept as a hash, or in a folder of before as text.

    A random password that is set here has no hash, and is not taken for one.
    """
    return held is not None and (password == held or check_password(password, held))


def refuse_weak(password: str) -> None:
    """Raise ImproperlyConfigured, without the password in it, if one of Django's validators refuses the password."""
    try:
        validate_password(password, user=User(username=ADMIN))
    except ValidationError as error:
        reasons = " ".join(error.messages)
        raise ImproperlyConfigured(f"FEATUREHUB_ADMIN_PASSWORD is refused, choose another one. {reasons}") from None


def ensure_demo_key(folder: Path) -> str:
    """Return the text of an API key with every scope.

    It is the one in the local folder if that is still valid, else a new one.
    """
    file = folder / DEMO_KEY_FILE
    held = file.read_text() if file.exists() else ""
    scopes = list(Scope.values)
    if ApiKey.objects.filter(hashed_key=hash_key(held), revoked_at__isnull=True, scopes__contains=scopes).exists():
        return held
    with transaction.atomic():
        _, key = create_api_key(DEMO_KEY, scopes=scopes)
        write_private(file, key)
    return key
