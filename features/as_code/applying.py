"""Plan a definitions file, and apply it: all of it in one transaction, or nothing."""

from collections.abc import Sequence

from django.db import connection, transaction

from featurehub.lib.errors import ConflictError, FeatureHubError
from features.as_code.changes import Applied, Outcome, PlannedChange
from features.as_code.contents import stored_contents
from features.as_code.parsing import ParsedFile, WrongFileError, parse_definitions
from features.as_code.planning import Planner
from features.as_code.references import FileChecker
from features.lifecycle.steps import lock_versions
from features.models import AppliedFile

TRY_TO_LOCK_APPLYING = "select pg_try_advisory_xact_lock(hashtextextended('features.as_code', 0))"
LONGEST_FILE_NAME = 255
NOTHING_CHANGED = "Nothing was changed."


class RefusedChangesError(ConflictError):
    """A file of which something can't be made so: nothing of it was applied."""

    code = "refused_changes"

    def __init__(self, changes: Sequence[PlannedChange]) -> None:
        self.changes = [change for change in changes if change.outcome == Outcome.REFUSED]
        super().__init__("\n".join(change.text() for change in self.changes))


def plan_definitions(text: str) -> list[PlannedChange]:
    """Return what applying a file of this text would change here, and what of it would be refused.

    The changes are made and taken back, so that what a service refuses is in the plan, too. Raises WrongFileError.
    """
    parsed = parse_definitions(text)
    with transaction.atomic():
        changes = tried_changes(parsed, Applied(by=None, reason="A plan", file=""))
        transaction.set_rollback(True)
    return changes


def apply_definitions(text: str, *, applied: Applied) -> list[PlannedChange]:
    """Make all that differs as in a file of this text, and return the changes: nothing goes live by it.

    Raises WrongFileError and RefusedChangesError, and ConflictError while another file is being applied; then nothing
    was changed.
    """
    parsed = parse_definitions(text)
    with transaction.atomic():
        lock_applying()
        changes = tried_changes(parsed, applied)
        if any(change.outcome == Outcome.REFUSED for change in changes):
            raise RefusedChangesError(changes)
        if changes:
            AppliedFile.objects.create(
                file=applied.file[:LONGEST_FILE_NAME],
                by=applied.by,
                reason=applied.reason,
                changes="; ".join(f"{change.outcome} {change.subject}" for change in changes),
            )
    return changes


def lock_applying() -> None:
    """Keep others from applying a file until the transaction ends. Raise ConflictError where somebody does it now."""
    with connection.cursor() as cursor:
        cursor.execute(TRY_TO_LOCK_APPLYING)
        (is_locked,) = cursor.fetchone()
    if not is_locked:
        raise ConflictError(
            "Another file of definitions is being applied at this moment. Wait until that has ended, "
            "look at a new plan, and apply again."
        )


def tried_changes(parsed: ParsedFile, applied: Applied) -> list[PlannedChange]:
    """Make the changes of a file one after the other, and return them; those that a service refuses as refused.

    Raises WrongFileError where the file names what there is not.
    """
    lock_versions()
    here = stored_contents()
    problems = FileChecker(parsed, here=here).problems()
    if problems:
        raise WrongFileError(problems)
    return [try_change(change, applied) for change in Planner(parsed, here=here).changes()]


def try_change(change: PlannedChange, applied: Applied) -> PlannedChange:
    """Make a change and return it; refused, with what a service says, where it can't be made."""
    if change.step is None:
        return change
    try:
        with transaction.atomic():
            change.step(applied)
    except FeatureHubError as error:
        return change.refused(error.detail)
    return change
