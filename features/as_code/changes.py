"""Changes of a plan: what is made, changed, archived or refused, and the lines of their differences."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from enum import StrEnum
from typing import Any, TypeAlias

from featurehub.files.yaml_files import yaml_text
from features.lifecycle.steps import Actor


class Outcome(StrEnum):
    MADE = "made"
    CHANGED = "changed"
    ARCHIVED = "archived"
    REFUSED = "refused"


SIGNS = {Outcome.MADE: "+", Outcome.CHANGED: "~", Outcome.ARCHIVED: "-", Outcome.REFUSED: "!"}
INDENT = " " * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The person who applies a file (None: a command without a user), the reason, and the file's name."""

    by: Actor
    reason: str
    file: str


MakingStep: TypeAlias = Callable[[Applied], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """A member of the file that is not so here: `before` is what is here, None where there is none; `after` the file's.

    `note` says why it is refused, or what follows from it. `step` makes it so; None where it is refused.
    """

    outcome: Outcome
    subject: str
    line: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    note: str = ""
    step: MakingStep | None = None

    def refused(self, why: str) -> "PlannedChange":
        """Return the change as one that is refused."""
        return replace(self, outcome=Outcome.REFUSED, note=why, step=None)

    def text(self) -> str:
        """Return the change as lines: what becomes of it, the lines of YAML that go (-) and come (+), and the note."""
        head = f"{SIGNS[self.outcome]} {self.outcome}: {self.subject} (line {self.line})"
        note = [f"{INDENT}{SIGNS[Outcome.REFUSED] if self.step is None else '#'} {self.note}"] if self.note else []
        return "\n".join([head, *self.differing_lines(), *note])

    def differing_lines(self) -> Iterator[str]:
        """Yield the lines of YAML that go and come, with a line around each place."""
        before = "" if not self.before else yaml_text(self.before)
        lines = unified_diff(before.splitlines(), yaml_text(self.after).splitlines(), n=1, lineterm="")
        for line in list(lines)[2:]:
            if not line.startswith("@@"):
                yield f"{line[0]}{INDENT}{line[1:]}"


def summary_of(changes: list[PlannedChange]) -> str:
    """Return how many changes there are of each outcome: "2 made, 1 changed, 0 archived, 0 refused"."""
    return ", ".join(f"{sum(change.outcome == outcome for change in changes)} {outcome}" for outcome in Outcome)
