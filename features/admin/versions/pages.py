"""The contents of the list of versions and of the page of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse

from featurehub.admin.permissions import may
from features.admin.runs import run_progress
from features.admin.versions.steps import possible_version_steps
from features.lifecycle.drafts import BEFORE_RETIREMENT, next_number, version_key
from features.lifecycle.steps import VersionState
from features.lifecycle.uses import pinning_sets
from features.materialization.computed_ranges import first_computed
from features.models import FeatureDefinition, FeatureType, FeatureVersion, FeatureVersionStep, Run, VersionUse
from features.models.definitions import WRITTEN_BY_CLIENTS
from features.monitoring.coverage import coverages
from features.registry.wording import definition_in_words

# The types in the order of the list, each with the source of its values.
TYPE_SENTENCES = {
    FeatureType.BEHAVIORAL: "Computed from events.",
    FeatureType.DERIVED: "Computed from other features.",
    FeatureType.CUSTOMER: "Written by clients, about the customer.",
    FeatureType.CONTEXTUAL: "Written by clients, about the moment.",
}
# In the order of the list.
STATES = (VersionState.LIVE, VersionState.SHADOW, VersionState.DRAFT, VersionState.DEPRECATED, VersionState.RETIRED)
REACHED = {
    VersionState.DRAFT: "Drafted",
    VersionState.SHADOW: "Put into shadow",
    VersionState.LIVE: "Live",
    VersionState.DEPRECATED: "Deprecated",
    VersionState.RETIRED: "Retired",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """A version in the list: in its state `since` a moment; `read` is the last read that was noted."""

    version: FeatureVersion
    since: datetime | None
    read: VersionUse | None
    progress: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionGroup:
    """The versions of a type. `compare` has the numbers of the two to compare first, or is empty."""

    feature_type: FeatureType
    sentence: str
    next_number: str
    rows: Sequence[VersionRow]
    compare: Sequence[str]


def version_groups(*, now: datetime) -> list[VersionGroup]:
    """Return all versions by type, in the order of the list."""
    versions = FeatureVersion.objects.annotate(size=Count("definitions")).prefetch_related("steps", "runs")
    noted = VersionUse.objects.filter(kind=VersionUse.Kind.READ).order_by("used_at").select_related("api_key")
    reads = {read.version_id: read for read in noted}
    found = []
    for feature_type, sentence in TYPE_SENTENCES.items():
        rows = [version for version in versions if version.feature_type == feature_type]
        ordered = sorted(
            sorted(rows, key=lambda row: version_key(row.number), reverse=True), key=lambda row: STATES.index(row.state)
        )
        readable = [
            row.number
            for row in ordered
            if row.state in (VersionState.LIVE, VersionState.SHADOW, VersionState.DEPRECATED)
        ]
        found.append(
            VersionGroup(
                feature_type=feature_type,
                sentence=sentence,
                next_number=next_number(feature_type),
                rows=[
                    VersionRow(
                        version=row, since=since(row), read=reads.get(row.pk), progress=first_run_progress(row, now=now)
                    )
                    for row in ordered
                ],
                compare=readable[:2] if len(readable) > 1 else [],
            )
        )
    return found


def since(version: FeatureVersion) -> datetime | None:
    """Return when the version came into its state. One that was live from the start has no step."""
    steps = list(version.steps.all())
    if version.state == VersionState.LIVE and not version.is_awaiting_scores:
        return version.live_from
    in_state = [step.at for before, step in pairwise([None, *steps]) if step and is_arrival(step, before=before)]
    return in_state[-1] if in_state else None


def is_arrival(step: FeatureVersionStep, *, before: FeatureVersionStep | None) -> bool:
    return before is None or before.state != step.state


def first_run_progress(version: FeatureVersion, *, now: datetime) -> dict[str, Any] | None:
    """Return the progress of the run that computes the first values; None where there is none, or it is done."""
    newest = next((run for run in version.runs.all() if run.kind == Run.Kind.RECOMPUTE), None)
    return run_progress(newest, now=now) if newest is not None and newest.state != newest.State.DONE else None


def backfill_progress(version: FeatureVersion, *, now: datetime) -> dict[str, Any] | None:
    """Return the progress of the run that computes the version's past; None where there is none, or it is done."""
    newest = next((run for run in version.runs.all() if run.kind == Run.Kind.BACKFILL), None)
    if newest is None or newest.state == Run.State.DONE:
        return None
    return {**run_progress(newest, now=now), "day": newest.as_of}


def scoring_progress(*, now: datetime) -> dict[str, Any] | None:
    """Return the progress of the run that scores everybody before readers are switched to a version."""
    run = Run.objects.filter(kind=Run.Kind.RESCORE, state=Run.State.RUNNING).first()
    return run_progress(run, now=now) if run is not None else None


def timeline(version: FeatureVersion) -> list[dict[str, Any]]:
    """Return the steps in words, the last one first."""
    steps = list(version.steps.select_related("by"))
    shown = [
        {"words": REACHED[VersionState(step.state)] if is_arrival(step, before=before) else "Changed", "step": step}
        for before, step in pairwise([None, *steps])
        if step is not None
    ]
    return shown[::-1]


def features_of(definitions: Iterable[FeatureDefinition], *, is_live: bool) -> list[dict[str, Any]]:
    """Return a row for each feature. Only features of a live version have a coverage."""
    measured = coverages.get() if is_live else None
    return [
        {"definition": row, "words": definition_in_words(row), "coverage": measured.of(row.name) if measured else None}
        for row in definitions
    ]


def version_context(version: FeatureVersion, *, request: HttpRequest, now: datetime) -> dict[str, Any]:
    """Return the template context of a version's page."""
    definitions = list(version.definitions.all())
    may_add = may(request, "features.change_featureversion") and (
        version.state == VersionState.DRAFT
        or (version.feature_type in WRITTEN_BY_CLIENTS and version.state in BEFORE_RETIREMENT)
    )
    others = FeatureDefinition.objects.filter(feature_type=version.feature_type).exclude(versions=version)
    live = FeatureVersion.objects.filter(feature_type=version.feature_type, state=VersionState.LIVE).first()
    return {
        "version": version,
        "live": live,
        "is_switching": version.live_from is not None and version.live_from > now,
        "scoring": scoring_progress(now=now) if version.is_awaiting_scores else None,
        "since": since(version),
        "features": features_of(definitions, is_live=version.state == VersionState.LIVE),
        "others": [{"definition": row, "words": definition_in_words(row)} for row in others] if may_add else [],
        "may_add": may_add,
        "may_remove": may_add and version.state == VersionState.DRAFT,
        "may_define": may(request, "features.add_featuredefinition"),
        "progress": first_run_progress(version, now=now),
        "backfill": backfill_progress(version, now=now),
        "computed_since": first_computed(version),
        "steps": [
            {"step": step, "url": reverse("admin:features_featureversion_step", args=[version.pk, name])}
            for name, step in possible_version_steps(version, request=request)
        ],
        "uses": version.uses.select_related("api_key").order_by("-used_at"),
        "sets": pinning_sets(version),
        "is_written": version.feature_type in WRITTEN_BY_CLIENTS,
        "timeline": timeline(version),
        "weight_set": version.weight_sets.filter(activated_at__isnull=False).order_by("-activated_at").first(),
        "now": now,
    }
