"""Who is logged in, and what they may do."""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest


def may(request: HttpRequest, permission: str) -> bool:
    """Return whether the user has a permission of `features`, such as "change_weightset"."""
    return request.user.has_perm(f"features.{permission}")


def person(request: HttpRequest) -> User:
    """Return the user who is logged in. Raise PermissionDenied where nobody is."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
