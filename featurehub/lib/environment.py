"""Read settings from environment variables. A wrong value stops the start with a sentence that names it."""

import os
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
ON = ("1", "true", "yes", "on")
OFF = ("0", "false", "no", "off")


def read_setting(name: str, *, parse: Callable[[str], T], expected: str, default: str | None = None) -> T:
    """Return the parsed value of environment variable `name`; `expected` completes "must be …".

    Raise ImproperlyConfigured if it is unset and has no default, or if `parse` raises ValueError.
    """
    text = os.environ.get(name) or default
    if text is None:
        raise ImproperlyConfigured(f"{name} is not set: it must be {expected}.")
    try:
        return parse(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be {expected}, not {text!r}.") from None


def read_port() -> int:
    """Return the port of PORT, that of the front."""
    expected = "a port number from 1 to 65535"
    return read_setting("PORT", parse=whole_number(least=1, most=65535), expected=expected, default="8000")


def read_trusted_proxies() -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of FEATUREHUB_TRUSTED_PROXIES, none where it is unset."""
    expected = "networks separated by commas, such as 10.0.0.0/8"
    return read_setting("FEATUREHUB_TRUSTED_PROXIES", parse=networks, expected=expected, default="")


def whole_number(*, least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in [least, most]."""

    def parse(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise ValueError(text)
        return number

    return parse


def number(*, least: float, most: float) -> Callable[[str], float]:
    """Return a parser of numbers in [least, most], which NaN never is."""

    def parse(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def whole_number_or_zero(*, least: int, most: int) -> Callable[[str], int]:
    """Return a parser of 0 and of whole numbers in [least, most]."""
    parse = whole_number(least=least, most=most)
    return lambda text: 0 if text.strip() == "0" else parse(text)


def switch(text: str) -> bool:
    """Return True for 1/true/yes/on and False for 0/false/no/off. Raise ValueError for other texts."""
    word = text.lower()
    if word not in (*ON, *OFF):
        raise ValueError(text)
    return word in ON


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


def comma_separated(text: str) -> list[str]:
    """Return the comma-separated words without blanks around them."""
    return [word.strip() for word in text.split(",") if word.strip()]


def some_words(text: str) -> list[str]:
    """Return the comma-separated words. Raise ValueError where there are none."""
    words = comma_separated(text)
    if not words:
        raise ValueError(text)
    return words


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the comma-separated addresses and networks; ValueError comes from one that is neither."""
    return tuple(ip_network(word) for word in comma_separated(text))


def url(*schemes: str) -> Callable[[str], str]:
    """Return a parser of URLs with one of the schemes, a host and, if there is a port, a numeric one."""

    def parse(text: str) -> str:
        scheme, separator, rest = text.partition("://")
        if scheme not in schemes or not separator or not rest:
            raise ValueError(text)
        urlsplit(text).port  # noqa: B018 - raises ValueError if it is not a number
        return text

    return parse
