"""`{% load weights %}`: filters that format numbers on the pages of weight sets."""

from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """Return a share as a percentage: 0.1234 → 12.3 %; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


@register.filter
def signed(change: float) -> str:
    """Return a change with its sign: +0.123, −0.123, or 0.000 where it rounds to zero."""
    text = f"{abs(change):.3f}"
    return text if float(text) == 0 else f"{'+' if change > 0 else '−'}{text}"


@register.filter
def unlocalized(number: object) -> str:
    """Return a number as SVG and number fields need it, whatever the language; empty for None."""
    return "" if number is None else str(number)


@register.filter
def ranking(correlation: float) -> str:
    """Return in words how much a ranking changes, from its rank correlation."""
    if correlation >= 0.95:
        return "Ranking barely changes"
    return "Ranking changes somewhat" if correlation >= 0.7 else "Ranking changes a lot"
