"""Feature versions, to look at."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from featurehub.browsing import ReadOnlyAdmin
from features.models import FeatureVersion

STATE_COLOURS = {"Draft": "default", "Shadow": "info", "Live": "success", "Deprecated": "warning", "Retired": "danger"}


@admin.register(FeatureVersion)
class FeatureVersionAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "shown_state", "size")
    list_filter = (("feature_type", ChoicesDropdownFilter), ("state", ChoicesDropdownFilter))
    list_filter_submit = True
    fields = readonly_fields = ("feature_type", "number", "shown_state", "features")
    ordering = ("feature_type", "number")

    def get_queryset(self, request: HttpRequest) -> QuerySet[FeatureVersion]:
        versions: QuerySet[FeatureVersion] = super().get_queryset(request)
        return versions.prefetch_related("definitions")

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def shown_state(self, version: FeatureVersion) -> str:
        return version.get_state_display()

    @display(description="Features")
    def size(self, version: FeatureVersion) -> int:
        return len(version.definitions.all())

    @display(description="Features")
    def features(self, version: FeatureVersion) -> SafeString:
        rows = [
            (reverse("admin:features_featuredefinition_change", args=[row.pk]), row.name, row.description)
            for row in version.definitions.all()
        ]
        return format_html_join("", '<p><a class="hub-link" href="{}">{}</a> {}</p>', rows)
