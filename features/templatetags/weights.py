"""How the pages of weight sets write numbers."""

from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """0.1234 as 12.3 %; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


@register.filter
def signed(change: float) -> str:
    """+0.123, −0.123, or 0.000 where it rounds to nothing."""
    text = f"{abs(change):.3f}"
    return text if float(text) == 0 else f"{'+' if change > 0 else '−'}{text}"


@register.filter
def unlocalized(number: object) -> str:
    """As a browser reads it, whatever the language: in SVG and in number fields. None is empty."""
    return "" if number is None else str(number)
