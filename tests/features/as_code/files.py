"""Definitions files of tests."""

from textwrap import dedent

from features.as_code.applying import apply_definitions, plan_definitions
from features.as_code.changes import Applied, PlannedChange
from features.registry.snapshot import registry_snapshot

APPLIED = Applied(by=None, reason="A test", file="trials.yaml")

# A file with all sections, and something new in each.
TRIALS = """\
featurehub: 1
event_types:
  trial_started:
    label: Trial started
    description: Sent by the sign-up page
definitions:
  trials_6h:
    type: behavioral
    description: Trials begun in 6 hours
    kind: count
    event_type: trial_started
    window: 6h
  churn_score:
    type: customer
    maximum: 1
  trial_share:
    type: derived
    expression: trials_6h * churn_score
versions:
  behavioral:2.0:
    features: [engagement_score, trials_6h]
  customer:2.0:
    features: [churn_score, tenure_days]
    time_to_live: 86400
  derived:2.0:
    features: [trial_share]
    inputs: [behavioral:2.0, customer:2.0]
sets:
  trial_model:3:
    features: [trials_6h, engagement_score, trial_share]
    versions: [behavioral:2.0, derived:2.0]
    reason: The model of May
weights:
  behavioral:1.0:
    name: Trials first
    monetary_norm: 500
    event_types:
      purchase: {weight: 0.3, norm: 10}
      trial_started: {weight: 0.7, norm: 2}
"""


def plan(text: str) -> list[PlannedChange]:
    return plan_definitions(dedent(text))


def apply(text: str, applied: Applied = APPLIED) -> list[PlannedChange]:
    """Apply a file, and have this process know at once, also in a test without commits."""
    changes = apply_definitions(dedent(text), applied=applied)
    registry_snapshot.forget()
    return changes


def outcomes(changes: list[PlannedChange]) -> list[str]:
    """Return the changes in short: "made event type trial_started"."""
    return [f"{change.outcome} {change.subject}" for change in changes]
