"""What deploy/prometheus and deploy/grafana have in them: alerts, and the expressions of the dashboard."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
ALERTS, ALERTS_TEST = DEPLOY / "prometheus/alerts.yaml", DEPLOY / "prometheus/alerts_test.yaml"
DASHBOARD = DEPLOY / "grafana/featurehub.json"
METRIC = re.compile(r"\bfeaturehub_\w+")


def read_alerts() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def read_panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return panels


def expressions_of_dashboard() -> list[str]:
    """Return the expressions of the panels, with an interval in the place of Grafana's variable."""
    targets = [target for panel in read_panels() for target in panel.get("targets", ())]
    return [target["expr"].replace("$__rate_interval", "5m") for target in targets]


def metrics_in(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in METRIC.findall(expression)}
