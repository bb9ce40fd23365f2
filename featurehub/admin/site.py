"""The admin's site: Unfold's, where what is done and its entry in the log are one transaction."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin.actions import delete_selected
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path
from unfold.sites import UnfoldAdminSite

from featurehub.admin.permissions import person


class FeatureHubAdminSite(UnfoldAdminSite):
    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.pages: list[URLPattern] = []
        # Django's own logs the deletion, then deletes, each in a transaction of its own.
        self.add_action(transaction.atomic(delete_selected), "delete_selected")

    def add_page(self, route: str, view: Callable[[HttpRequest], HttpResponse], *, name: str) -> None:
        """Add a page that belongs to no model. Its view checks the permission; the login is checked before it."""
        self.pages.append(path(route, self.admin_view(view), name=name))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [*self.pages, *super().get_urls()]

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Return the sidebar with at most one link marked as the current page: the one with the longest address.

        Unfold marks each link whose address is a part of the page's.
        """
        groups: list[dict[str, Any]] = super().get_sidebar_list(request)
        marked = [item for group in groups for item in group["items"] if item["active"]]
        for item in sorted(marked, key=lambda item: len(str(item["link"])))[:-1]:
            item["active"] = False
        return groups

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the form, or change the password and log that. Django logs only a change by somebody else."""
        with transaction.atomic():
            answer: HttpResponse = super().password_change(request, extra_context)
            if request.method == "POST" and isinstance(answer, HttpResponseRedirect):
                user = person(request)
                LogEntry.objects.log_actions(user.pk, [user], CHANGE, "Changed their own password.", single_object=True)
        return answer
