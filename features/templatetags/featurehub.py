"""`{% load featurehub %}`: filters that format numbers, moments and names, and the banner of every admin page."""

from typing import Any

from django import template
from django.conf import settings

from events.event_types import EVENT_TYPES
from featurehub.admin.permissions import may
from featurehub.lib import humanize
from features.monitoring import overview
from features.registry.snapshot import registry_snapshot

register = template.Library()

register.filter("duration", humanize.duration)
register.filter("ago", humanize.ago)
register.filter("brief", humanize.brief)
register.filter("measure", humanize.measure)


@register.filter("words")
def as_words(name: str) -> str:
    """Return a name with spaces for underscores: page_view → page view."""
    return name.replace("_", " ")


@register.filter("swatch")
def swatch_class(event_type: str) -> str:
    """Return the class with the colour of an event type; further types have none of their own."""
    return f"hub-{event_type}" if event_type in EVENT_TYPES else ""


@register.inclusion_tag("features/admin/put_aside.html", takes_context=True)
def put_aside_banner(context: template.Context) -> dict[str, Any]:
    """Return the context of the banner that tells those who may see versions which of them are put aside."""
    may_see = may(context["request"], "features.view_featureversion")
    is_any_put_aside = bool(registry_snapshot.get().put_aside)  # in memory, so that a page without one costs no query
    return {"versions": overview.versions_put_aside() if may_see and is_any_put_aside else []}


@register.inclusion_tag("features/admin/behind.html", takes_context=True)
def refresh_banner(context: template.Context) -> dict[str, float | None]:
    """Return the context of the banner that tells those who may see customers that the refresh is behind."""
    may_see = may(context["request"], "features.view_customer")
    return {"seconds": overview.seconds_behind() if may_see else None, "ttl": settings.FEATURE_TTL}
