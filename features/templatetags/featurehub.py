"""`{% load featurehub %}`: numbers, moments and names as people read them."""

from django import template

from featurehub import words

register = template.Library()

register.filter("duration", words.duration)
register.filter("ago", words.ago)
register.filter("brief", words.brief)


@register.filter("words")
def as_words(name: str) -> str:
    """page_view → page view"""
    return name.replace("_", " ")
