"""Exports: applied to an empty database, they give an equal export; what nobody can read is left out."""

import subprocess
import sys
from pathlib import Path

import yaml
from django.db import transaction

from features.as_code.contents import exported_text
from features.lifecycle.feature_sets import make_feature_set
from features.lifecycle.version_steps import retire
from features.models import FeatureSet
from tests.at_once import PROJECT, environment_of_tests
from tests.databases import made_database
from tests.factories import make_definition, make_event_type, make_version
from tests.features.as_code.files import TRIALS, apply, plan


def fill() -> None:
    """Register what a team may have: types, features of each type, versions in several states, and sets."""
    make_event_type("trial_started", description="Sent by the\nsign-up page: always")
    make_event_type("on", label="“On” – 1.0")
    make_definition("loose", description="In no version", tags=["a", "1e5"])
    make_version(
        "behavioral", state="shadow",
        trials_6h={"kind": "count", "event_type": "trial_started", "window": "6h", "half_life_days": 0.1},
        no_category={"kind": "sum", "category": "", "metadata_key": "amount", "window": "90d"},
    )  # fmt: skip
    make_version("customer", churn_score={"default": 0.5, "maximum": 1, "unit": "share"})
    make_version("derived", half={"expression": "rfm_score / 2"})
    make_feature_set("churn_model", names=["trials_6h", "rfm_score"], versions=["behavioral:2.0"], reason="May: 1")
    make_feature_set("churn_model", names=["rfm_score", "cart_value"])


def test_an_export_of_nothing_new_is_the_first_definitions(db: None) -> None:
    found = yaml.safe_load(exported_text())
    assert found["featurehub"] == 1
    assert found["event_types"]["page_view"] == {"label": "Page view", "description": "A page was looked at."}
    assert found["definitions"]["rfm_score"]["expression"] == "(recency_score + frequency_score + monetary_score) / 3"
    assert found["versions"]["contextual:1.0"] == {"features": ["cart_value", "items_in_cart"]}
    assert found["weights"]["behavioral:1.0"]["event_types"]["purchase"] == {"weight": 0.3, "norm": 10}
    assert plan(exported_text()) == []


def test_what_is_exported_and_applied_elsewhere_is_exported_again_the_same(db: None) -> None:
    with transaction.atomic():
        fill()
        exported = exported_text()
        transaction.set_rollback(True)
    changes = apply(exported)
    assert {change.outcome for change in changes} == {"made"}
    # The weights of the version in shadow wait as a draft set: no one has activated them here.
    weights = exported[exported.index("weights:") :]
    assert exported_text().partition("weights:")[0] + weights == exported
    assert plan(exported) == []


def test_retired_versions_and_what_only_they_use_are_left_out(db: None) -> None:
    version = make_version("behavioral", state="shadow", trials_6h={"event_type": "login", "window": "6h"})
    make_feature_set("old_model", names=["trials_6h"], versions=["behavioral:2.0"])
    retire(version.pk, by=None, reason="A test", confirmed=True)
    found = exported_text()
    assert "trials_6h" not in found
    assert "behavioral:2.0" not in found
    assert FeatureSet.objects.filter(name="old_model").exists()
    assert plan(found) == []


def test_an_export_after_an_apply_has_what_the_file_had(db: None) -> None:
    apply(TRIALS)
    found, given = yaml.safe_load(exported_text()), yaml.safe_load(TRIALS)
    for section in ("event_types", "definitions", "sets"):
        assert found[section] == found[section] | given[section]


def test_the_commands_take_definitions_from_one_database_to_an_empty_one(committed: None, tmp_path: Path) -> None:
    # 0. The weights that are active at first are the same in both.
    apply(TRIALS.partition("weights:")[0])
    file = tmp_path / "definitions.yaml"
    here = environment_of_tests()
    file.write_text(exported_text())
    with made_database("other") as url:
        there = {**here, "DATABASE_URL": url}
        assert manage("migrate", environment=there).returncode == 0
        applied = manage("apply_definitions", str(file), environment=there)
        assert (applied.returncode, applied.stderr) == (0, "")
        assert manage("export_definitions", environment=there).stdout == file.read_text()
        again = manage("plan_definitions", str(file), environment=there)
        assert (again.returncode, again.stdout) == (0, "No difference: all that the file names is so here.\n")


def manage(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
