"""Errors of the fake server, in the words of the real one."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import msgspec

JSON_KINDS = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "an array",
    "object": "an object", "null": "null", "datetime": "a moment in ISO 8601",
}  # fmt: skip
A_MOMENT = "It must be a moment in ISO 8601 with an offset, such as 2026-01-31T12:00:00Z."
SENTENCES = {
    "Invalid RFC3339 encoded datetime": A_MOMENT,
    "Expected `datetime` with a timezone component": A_MOMENT,
}


class Refused(Exception):
    """A request that the server refuses, with the status of the answer."""

    def __init__(self, detail: str, *, status: int = 400, code: str = "invalid", attr: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.status, self.code, self.attr = detail, status, code, attr

    def below(self, place: str) -> "Refused":
        """Return the error of a part of the request, such as `rows.3`."""
        attr = place if self.attr is None else f"{place}.{self.attr}"
        return Refused(self.detail, status=self.status, code=self.code, attr=attr)

    def as_body(self) -> dict[str, object]:
        """Return the body of the answer."""
        kinds = {400: "validation_error"} if self.code != "parse_error" else {}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "client_error")
        return {"type": kind, "errors": [{"code": self.code, "detail": self.detail, "attr": self.attr}]}


def not_found(detail: str) -> Refused:
    """Return the error for an object that does not exist; it names no part of the request."""
    return Refused(detail, status=404, code="not_found")


def wrong_shape(error: msgspec.ValidationError) -> Refused:
    """Return the error for a body of another shape: msgspec's sentence in the words of JSON."""
    detail, _, place = str(error).partition(" - at ")
    path = place.rpartition("$")[2].rstrip("`").replace("[...]", "")
    attr = re.sub(r"\[(\d+)\]", r".\1", path).lstrip(".")
    if absent := re.fullmatch(r"Object missing required field `(\w+)`", detail):
        return Refused("This field is required.", code="required", attr=".".join(filter(None, [attr, absent[1]])))
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", detail, re.DOTALL):
        sentence = "There is no such field: correct its name or leave it out."
        return Refused(sentence, code="unknown_field", attr=".".join(filter(None, [attr, unknown[1]])))
    if kinds := re.fullmatch(r"Expected `(.+)`, got `(\w+)`", detail):
        wanted = listed([JSON_KINDS.get(name, name) for name in kinds[1].split(" | ")], last="or")
        return Refused(f"It must be {wanted}, not {JSON_KINDS.get(kinds[2], kinds[2])}.", attr=attr or None)
    return Refused(SENTENCES.get(detail, f"{detail}."), attr=attr or None)


def listed(words: Sequence[str], *, last: str = "and") -> str:
    """Return "a, b and c"."""
    return " ".join(filter(None, [", ".join(words[:-1]), last if len(words) > 1 else "", *words[-1:]]))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a sentence with the closest name, after a blank; an empty text where none is close."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else ""
