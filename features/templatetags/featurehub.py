"""`{% load featurehub %}`: numbers, moments and names as people read them, and what every page of the admin says."""

from django import template
from django.conf import settings

from featurehub.lib import humanize
from features.monitoring import overview

register = template.Library()

register.filter("duration", humanize.duration)
register.filter("ago", humanize.ago)
register.filter("brief", humanize.brief)


@register.filter("words")
def as_words(name: str) -> str:
    """page_view → page view"""
    return name.replace("_", " ")


@register.inclusion_tag("features/admin/behind.html", takes_context=True)
def refresh_banner(context: template.Context) -> dict[str, float | None]:
    """A word where the refresh has fallen behind, for those who may see customers."""
    may_see = context["request"].user.has_perm("features.view_customer")
    return {"seconds": overview.seconds_behind() if may_see else None, "ttl": settings.FEATURE_TTL}
