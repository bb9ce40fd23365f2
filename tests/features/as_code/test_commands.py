"""The commands: what they print, and the status that they end with."""

from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from features.models import FeatureVersion
from tests.features.as_code.files import TRIALS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trials.yaml"
    path.write_text(TRIALS)
    return path


def output_of(*arguments: object) -> str:
    output = StringIO()
    call_command(*map(str, arguments), stdout=output)
    return output.getvalue()


def test_a_plan_with_differences_is_a_diff_with_the_status_3(db: None, file: Path) -> None:
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("plan_definitions", str(file), stdout=output)
    assert ended.value.code == 3
    lines = output.getvalue().splitlines()
    assert lines[:3] == [
        "+ made: event type trial_started (line 3)",
        "+    label: Trial started",
        "+    description: Sent by the sign-up page",
    ]
    assert "    # It is made as a draft." in lines
    assert lines[-1] == "Applied, it would be: 9 made, 0 changed, 0 archived, 0 refused."


def test_an_apply_says_what_it_made_and_the_next_one_that_there_is_no_difference(db: None, file: Path) -> None:
    made = output_of("apply_definitions", file)
    assert made.splitlines()[-1] == (
        "9 made, 0 changed, 0 archived, 0 refused. Nothing went live: drafts wait in the admin, versions and weights."
    )
    assert output_of("apply_definitions", file).startswith("No difference")
    assert output_of("plan_definitions", file).startswith("No difference")


def test_the_log_has_who_applied_it_and_why(db: None, file: Path) -> None:
    User.objects.create_user("ann")
    output_of("apply_definitions", file, "--by", "ann", "--reason", "Release 12")
    step = FeatureVersion.objects.get(feature_type="behavioral", number="2.0").steps.first()
    assert step is not None
    assert (str(step.by), step.reason) == ("ann", "From behavioral:1.0. Release 12")


def test_without_words_the_reason_is_the_file(db: None, file: Path) -> None:
    output_of("apply_definitions", file)
    step = FeatureVersion.objects.get(feature_type="behavioral", number="2.0").steps.first()
    assert step is not None
    assert (step.by, step.reason) == (None, "From behavioral:1.0. Applied from trials.yaml.")


@pytest.mark.parametrize("command", ["plan_definitions", "apply_definitions"])
def test_a_wrong_file_is_named_with_the_line(db: None, command: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("definitions:\n  a:\n    typ: customer\n")
    with pytest.raises(CommandError) as ended:
        output_of(command, path)
    assert ended.value.returncode == 1
    assert f"{path}:\nline 3: definitions, a: There is no key typ: did you mean type?\n" in str(ended.value)
    path.write_bytes(b"PAR1\xff\xfe")
    with pytest.raises(CommandError, match="It is not text in UTF-8"):
        output_of(command, path)
    with pytest.raises(CommandError, match="It can't be read: No such file"):
        output_of(command, tmp_path / "missing.yaml")


def test_what_is_refused_ends_an_apply_with_the_status_1(db: None, tmp_path: Path) -> None:
    path = tmp_path / "frozen.yaml"
    path.write_text("event_types: {a: {}}\nversions: {behavioral:1.0: {features: [engagement_score]}}\n")
    with pytest.raises(CommandError) as ended:
        output_of("apply_definitions", path)
    assert ended.value.returncode == 1
    assert "! refused: version behavioral:1.0 (line 2)" in str(ended.value)
    assert str(ended.value).endswith("Nothing was changed.")


def test_an_unknown_user_applies_nothing(db: None, file: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no active user bob\. Nothing was changed\."):
        output_of("apply_definitions", file, "--by", "bob")
    assert not FeatureVersion.objects.filter(number="2.0").exists()


def test_an_export_can_be_written_to_a_file(db: None, tmp_path: Path) -> None:
    path = tmp_path / "definitions.yaml"
    output_of("export_definitions", "--out", path)
    assert path.read_text() == output_of("export_definitions")
    with pytest.raises(CommandError, match="No such file"):
        output_of("export_definitions", "--out", tmp_path / "missing" / "definitions.yaml")
