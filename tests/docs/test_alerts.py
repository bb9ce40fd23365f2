"""Alerts, their runbook and the dashboard belong together; Prometheus' own tool reads the rules and tests them."""

import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.monitoring_files import ALERTS, ALERTS_TEST, expressions_of_dashboard, read_alerts, read_panels

RUNBOOK = Path(__file__).resolve().parents[2] / "docs/operations.md"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="There is no promtool: apt-get install prometheus.")


def test_each_alert_has_its_entry_in_the_runbook_and_each_entry_its_alert() -> None:
    entries = re.findall(r"^#### (FeatureHub\w+)\n\n\S", RUNBOOK.read_text(), re.MULTILINE)
    assert entries == [alert["alert"] for alert in read_alerts()]


def test_each_alert_says_what_it_is_how_bad_it_is_and_where_to_read_on() -> None:
    for alert in read_alerts():
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"


def test_no_panel_of_the_dashboard_is_empty_or_lies_on_another() -> None:
    panels = read_panels()
    assert len({panel["id"] for panel in panels}) == len(panels) > 30
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or (panel["targets"] and panel["description"])
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@needs_promtool
def test_promtool_accepts_the_alerts_and_they_pass_their_tests() -> None:
    for arguments in (["check", "rules", str(ALERTS)], ["test", "rules", str(ALERTS_TEST)]):
        ended = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_promtool
def test_promtool_accepts_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel{number}", "expr": each} for number, each in enumerate(expressions_of_dashboard())]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    ended = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
