"""The URLs of the project."""

from csp.constants import SELF
from csp.decorators import csp_replace
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from events.api.urls import urlpatterns as events
from featurehub import health
from featurehub.http.schema import SchemaView
from features.api.urls import urlpatterns as features

docs = csp_replace({"script-src": [SELF]})(SpectacularSwaggerSplitView.as_view(url_name="schema"))
api = [*features, *events]  # reads first, since patterns are tried in order
urlpatterns = [
    path("api/v1/", include(api)),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", docs, name="docs"),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", health.MetricsView.as_view(), name="metrics"),
]

handler400 = "featurehub.http.errors.bad_request"
handler403 = "featurehub.http.server_errors.permission_denied"
handler404 = "featurehub.http.server_errors.page_not_found"
handler500 = "featurehub.http.server_errors.server_error"
