"""Staff who log in to the admin, look at pages and act on what they show."""

import re
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from features.lifecycle.shown import shown_of
from features.models import FeatureVersion, WeightSet

numbers = count(1)


def log_in(*roles: str, is_superuser: bool = False) -> Client:
    """Return a client logged in as a new member of staff with these roles."""
    user = User.objects.create_user(f"staff-{next(numbers)}", is_staff=True, is_superuser=is_superuser)
    user.groups.add(*(Group.objects.get(name=role) for role in roles))
    client = Client()
    client.force_login(user)
    return client


def seen_by(user: User, row: FeatureVersion | WeightSet) -> dict[str, Any]:
    """Return the arguments of a step that the user takes after a look at the row as it is now."""
    return {"by": user, "shown": shown_of(type(row)._default_manager.get(pk=row.pk))}


def text_of(answer: Any) -> str:
    """Return the text of a page, with each run of white space as one blank."""
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def shown_on(client: Client, address: str) -> str:
    """Return what the form of a step's page says that the page showed; empty where there is no form."""
    found = re.search(r'name="shown" value="([^"]+)"', client.get(address).content.decode())
    return found[1] if found else ""


def take_step(client: Client, address: str, *, follow: bool = False, **data: Any) -> Any:
    """Load the page of a step, send its form with `data`, and return the answer."""
    return client.post(address, {"shown": shown_on(client, address), **data}, follow=follow)
