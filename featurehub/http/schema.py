"""The page of the OpenAPI schema: GET /api/schema/."""

import hashlib
import threading
from functools import lru_cache
from typing import Any

from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import condition
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

RENDERERS = {renderer.media_type: renderer for renderer in SpectacularAPIView.renderer_classes}


# At the first generation drf-spectacular loads its extensions, which fails for a thread that begins meanwhile.
_generating = threading.Lock()


def schema() -> dict[str, Any]:
    """Return the schema, which is generated once per process: it changes with the code only."""
    with _generating:
        return generated_schema()


@lru_cache(maxsize=1)
def generated_schema() -> dict[str, Any]:
    generated: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return generated


@lru_cache(maxsize=len(RENDERERS))
def schema_as(media_type: str) -> bytes:
    """Return the schema as YAML or JSON, as the renderer of the media type writes it."""
    rendered: Any = RENDERERS[media_type]().render(schema(), renderer_context={})
    return bytes(rendered)


def etag_of(request: Request, *args: Any, **kwargs: Any) -> str:
    return f'"{hashlib.sha256(schema_as(request.accepted_renderer.media_type)).hexdigest()}"'


class SchemaView(SpectacularAPIView):
    """Answer with the cached schema in the format that is asked for, or 304 if the client has it already."""

    @extend_schema(exclude=True)
    @method_decorator(condition(etag_func=etag_of))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        response = HttpResponse(schema_as(renderer.media_type), content_type=renderer.media_type)
        response["Content-Disposition"] = f'inline; filename="{spectacular_settings.TITLE}.{renderer.format}"'
        return response
