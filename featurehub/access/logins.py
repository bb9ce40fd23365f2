"""Limits of failed attempts to log in to the admin (django-axes), counted in PostgreSQL.

Two limits refuse an attempt before its password is hashed, until COOLOFF after the last failure that was counted:

1. AXES_FAILURE_LIMIT failures of a user name from an address: whoever guesses a password locks out themselves, not its
   owner at another address, nor their colleagues at the same one.
2. FAILURES_OF_AN_ADDRESS failures of an address with any user names, known or not: each of them costs a hash.

Refused attempts are not counted: they prolong nothing. A success forgets the failures of its user name and address.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt, AccessFailureLog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from featurehub.access.limits import source_of

logger = logging.getLogger(__name__)

COOLOFF: timedelta = settings.AXES_COOLOFF_TIME
# A team behind one address makes fewer mistakes in ten minutes, and so many hashes cost a processor some seconds.
FAILURES_OF_AN_ADDRESS = 50
# The newest failures are kept for the admin.
FAILURES_KEPT = 10_000
# Of requests without an address: they are counted together.
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - nothing listens there


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures that still count: of a user name from an address, of the address, and the last moment of each."""

    of_user: int
    of_address: int
    last_of_user: datetime | None
    last_of_address: datetime | None

    @property
    def locked_until(self) -> datetime | None:
        """Return when the user name may be tried again from the address; None: now."""
        lasts = []
        if self.of_user >= settings.AXES_FAILURE_LIMIT:
            lasts.append(self.last_of_user)
        if self.of_address >= FAILURES_OF_AN_ADDRESS:
            lasts.append(self.last_of_address)
        last = max(filter(None, lasts), default=None)
        return None if last is None else last + COOLOFF


def failures_of(username: str | None, *, address: str, now: datetime) -> Failures:
    """Return the failures that count against the user name at the address; one query."""
    of_user = Q(username=username)
    counted = AccessAttempt.objects.filter(ip_address=address, attempt_time__gte=now - COOLOFF)
    return Failures(
        **counted.aggregate(
            of_user=Sum("failures_since_start", filter=of_user, default=0),
            of_address=Sum("failures_since_start", default=0),
            last_of_user=Max("attempt_time", filter=of_user),
            last_of_address=Max("attempt_time"),
        )
    )


class LoginLimits(AxesDatabaseHandler):
    """The handler of django-axes with a limit for addresses beside its own, and a bounded log of failures."""

    def get_failures(self, request: Any, credentials: Mapping[str, Any] | None = None) -> int:
        """Return the failures of the user name from the address, AXES_FAILURE_LIMIT at least if either is locked."""
        username = (credentials or {}).get("username")
        failures = failures_of(username, address=request.axes_ip_address, now=request.axes_attempt_time)
        if failures.locked_until is None:
            return failures.of_user
        return max(failures.of_user, int(settings.AXES_FAILURE_LIMIT))

    def remove_out_of_limit_failure_logs(self, *, username: str, limit: int | None = None) -> int:
        """Delete all but the newest FAILURES_KEPT failures: axes bounds those of a user name, not of all names."""
        newest = AccessFailureLog.objects.aggregate(newest=Max("pk"))["newest"] or 0
        deleted, _ = AccessFailureLog.objects.filter(pk__lte=newest - FAILURES_KEPT).delete()
        return int(deleted)


def login_address(request: HttpRequest) -> str:
    """Return the address that failures are counted for: of IPv6 the first one of the /64 network."""
    source = source_of(request.META.get("REMOTE_ADDR", "")).partition("/")[0]
    try:
        return str(ip_address(source))
    except ValueError:
        return NO_ADDRESS


def describe_login(username: str | None, address: str, *_: object) -> str:
    """Return who tries to log in, for the log. A name that no user has is left out: it may be a mistyped password."""
    is_known = User.objects.filter(username=username).exists()
    return f"{username!r} from {address}" if is_known else f"an unknown user from {address}"


def refuse_login(request: HttpRequest, _: HttpResponse | None, credentials: Mapping[str, Any] | None) -> HttpResponse:
    """Return the page of a refused attempt: 429 with the time to wait."""
    username, now = (credentials or {}).get("username"), timezone.now()
    address: str = request.axes_ip_address  # type: ignore[attr-defined]
    until = failures_of(username, address=address, now=now).locked_until
    seconds = 1 if until is None else max(math.ceil((until - now).total_seconds()), 1)
    logger.warning("Logins of %s are refused for %d seconds.", describe_login(username, address), seconds)
    context = {"title": "Too many failed attempts to log in", "minutes": math.ceil(seconds / 60)}
    context = {**admin.site.each_context(request), **context}
    response = render(request, "access/login_refused.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response


def still_counted(attempts: QuerySet[Any], *, now: datetime) -> QuerySet[Any]:
    """Return those that still count, each with `of_user` and `of_address`, the sums that are held to the limits."""
    counted = AccessAttempt.objects.filter(attempt_time__gte=now - COOLOFF)
    same_address = counted.filter(ip_address=OuterRef("ip_address")).order_by()
    same_user = same_address.filter(username=OuterRef("username"))
    annotated: QuerySet[Any] = attempts.filter(attempt_time__gte=now - COOLOFF).annotate(
        of_user=Subquery(same_user.values("username").annotate(total=Sum("failures_since_start")).values("total")),
        of_address=Subquery(
            same_address.values("ip_address").annotate(total=Sum("failures_since_start")).values("total")
        ),
    )
    return annotated


def lift_locks(addresses: list[str]) -> int:
    """Forget the failures of the addresses, and return of how many user names and programs they were."""
    deleted, _ = AccessAttempt.objects.filter(ip_address__in=addresses).delete()
    return int(deleted)
