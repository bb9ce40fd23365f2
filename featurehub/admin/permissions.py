"""The person who is logged in, and their permissions."""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest


def may(request: HttpRequest, permission: str) -> bool:
    """Return whether the user has a permission, named as Django does: "features.change_weightset"."""
    return request.user.has_perm(permission)


def person(request: HttpRequest) -> User:
    """Return the user who is logged in. Raise PermissionDenied where nobody is."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
