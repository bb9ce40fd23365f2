"""Admin classes with pages of their own beside, or in place of, Django's."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin


class OwnPages(ModelAdmin):
    """An admin with further pages in the admin's dress."""

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the base template of every page needs."""
        return {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}


class OwnObjectPage(OwnPages):
    """An admin whose page of one object is `object_page` instead of Django's form."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the object's page to those who may view it; lead to the first page where there is no such object."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, object_id)
        if found is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return answer
        return self.object_page(request, found)

    def object_page(self, request: HttpRequest, row: Any) -> HttpResponse:
        """Return the page of one object."""
        raise NotImplementedError
