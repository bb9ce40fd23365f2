"""Staff who log in to the admin."""

from itertools import count

from django.contrib.auth.models import Group, User
from django.test import Client

numbers = count(1)


def log_in(*roles: str, is_superuser: bool = False) -> Client:
    """Return a client logged in as a new member of staff with these roles."""
    user = User.objects.create_user(f"staff-{next(numbers)}", is_staff=True, is_superuser=is_superuser)
    user.groups.add(*(Group.objects.get(name=role) for role in roles))
    client = Client()
    client.force_login(user)
    return client
