"""Read the settings of traces before OpenTelemetry is imported."""

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

from featurehub.lib.environment import url

NOT_INSTALLED = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: "
    "pip install -r requirements-tracing.txt -c constraints.txt, or unset it."
)


def otlp_endpoint(text: str) -> str:
    """Return the URL that traces are sent to, empty where they are off.

    Raise ValueError for another text, ImproperlyConfigured where the packages for traces are not installed.
    """
    if not text:
        return ""
    endpoint = url("http", "https")(text)
    try:
        is_installed = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a package above it
        is_installed = False
    if not is_installed:
        raise ImproperlyConfigured(NOT_INSTALLED)
    return endpoint
