"""The registry of the fake server: what FeatureHub starts with, and the features that tests register.

Each feature type has one version, 1.0, which is live.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from featurehub_client.testing.formulas import FIRST_WEIGHTS, Weights
from featurehub_client.testing.refusals import Refused, did_you_mean, listed, not_found

VERSION = "1.0"
BEHAVIORAL, CONTEXTUAL, CUSTOMER, DERIVED = "behavioral", "contextual", "customer", "derived"
WRITTEN_BY_CLIENTS = (CUSTOMER, CONTEXTUAL)
LISTED = ("engagement_score", "rfm_score", "recency_score", "frequency_score", "monetary_score")
# feature type → name → (description, unit, minimum, maximum)
FIRST_DEFINITIONS: dict[str, dict[str, tuple[str, str, float | None, float | None]]] = {
    BEHAVIORAL: {
        "engagement_score": ("Weighted activity of 30 days, clamped at 1", "share", 0, 1),
        "page_views_30d": ("Page views in 30 days", "events", 0, None),
        "email_opens_30d": ("E-mails opened in 30 days", "events", 0, None),
        "email_clicks_30d": ("Links clicked in e-mails in 30 days", "events", 0, None),
        "form_submits_30d": ("Forms submitted in 30 days", "events", 0, None),
        "purchases_30d": ("Purchases in 30 days", "events", 0, None),
        "conversion_rate": ("Forms submitted per page view", "ratio", 0, None),
        "login_frequency": ("Logins in 30 days", "events", 0, None),
        "session_duration": ("Mean time between the first and last event of a session", "seconds", 0, None),
        "recency_score": ("1 at a purchase, falling to 0 within 30 days", "share", 0, 1),
        "frequency_score": ("Purchases in 30 days relative to their norm, at most 1", "share", 0, 1),
        "purchase_amount_30d": ("Amount of the purchases of 30 days", "currency", 0, None),
        "monetary_score": ("Purchase amount relative to its norm, at most 1", "share", 0, 1),
        "category_preferences": ("The largest category's share of the events that have one", "share", 0, 1),
    },
    CUSTOMER: {
        "tenure_days": ("Days since the customer joined", "days", 0, None),
        "loyalty_tier": ("Tier in the loyalty programme, as a number", "tier", 0, None),
    },
    CONTEXTUAL: {
        "cart_value": ("Value of what is in the cart now", "currency", 0, None),
        "items_in_cart": ("Number of items in the cart now", "items", 0, None),
    },
    DERIVED: {"rfm_score": ("Mean of the recency, frequency and monetary scores", "share", 0, 1)},
}
RFM = "(recency_score + frequency_score + monetary_score) / 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A registered feature."""

    name: str
    feature_type: str
    description: str = ""
    unit: str = ""
    default: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    def check(self, value: float) -> None:
        """Raise Refused for a value out of the feature's range."""
        attr = f"features.{self.name}"
        if self.minimum is not None and value < self.minimum:
            raise Refused(f"{self.name} is at least {self.minimum:g}.", attr=attr)
        if self.maximum is not None and value > self.maximum:
            raise Refused(f"{self.name} is at most {self.maximum:g}.", attr=attr)

    def as_json(self) -> dict[str, Any]:
        """Return the feature as `GET definitions/` answers it; coverage and age are not measured."""
        return {
            "name": self.name, "feature_type": self.feature_type, "description": self.description,
            "owner": "FeatureHub", "unit": self.unit, "default": self.default, "minimum": self.minimum,
            "maximum": self.maximum, "tags": [], "versions": [VERSION], "since_version": VERSION, "window": None,
            "expression": RFM if self.name == "rfm_score" else None, "coverage": None, "median_age_seconds": None,
        }  # fmt: skip


def first_features() -> dict[str, Feature]:
    """Return the features that FeatureHub starts with, by name."""
    return {
        name: Feature(
            name=name, feature_type=feature_type, description=text, unit=unit, minimum=minimum, maximum=maximum
        )
        for feature_type, named in FIRST_DEFINITIONS.items()
        for name, (text, unit, minimum, maximum) in named.items()
    }


@dataclass(slots=True, kw_only=True)
class Registry:
    """The registered features, by name; event types; weights; and feature sets as the API answers them, by `name:n`."""

    features: dict[str, Feature] = field(default_factory=first_features)
    event_types: list[str] = field(default_factory=lambda: list(FIRST_WEIGHTS))
    weights: Weights = field(default_factory=Weights)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def names_of(self, feature_type: str) -> list[str]:
        """Return the names of a type."""
        return sorted(each.name for each in self.features.values() if each.feature_type == feature_type)

    def types(self) -> list[str]:
        """Return the feature types."""
        return sorted({each.feature_type for each in self.features.values()})

    def check_versions(self, pins: Sequence[str]) -> None:
        """Raise Refused for a version that does not exist, and for two versions of one type."""
        seen: dict[str, str] = {}
        for pin in pins:
            feature_type, separator, number = pin.partition(":")
            if not separator:
                feature_type, number = BEHAVIORAL, pin
            self.check_version(feature_type, number, named=pin)
            if seen.setdefault(feature_type, number) != number:
                raise Refused(f"Two versions of {feature_type} are requested.", attr="version")

    def check_version(self, feature_type: str, number: str, *, named: str | None = None) -> None:
        """Raise Refused for a version that does not exist."""
        is_type = feature_type in self.types()
        if is_type and number == VERSION:
            return
        there_are = [f"{feature_type}:{VERSION}"] if is_type else self.types()
        what = "the readable ones are" if is_type else "the feature types are"
        named = named or f"{feature_type}:{number}"
        raise not_found(f"There is no readable version {named}; {what} {listed(there_are)}.")

    def check_event_type(self, name: str) -> None:
        """Raise Refused for an event type that is not registered."""
        if name not in self.event_types:
            detail = (
                f"No event type {name!r} is registered. There are {', '.join(self.event_types)}. Register it in the "
                "admin under Event types, or with manage.py apply_definitions."
            )
            raise Refused(detail, code="unregistered_event_type", attr="event_type")

    # --- Feature sets -------------------------------------------------------------------------------------------------

    def find_set(self, written: str) -> dict[str, Any]:
        """Return a set. Raise Refused where there is none."""
        if written in self.sets:
            return self.sets[written]
        numbers = [str(each["number"]) for each in self.sets_of(written.partition(":")[0])]
        if numbers:
            word = "number" if len(numbers) == 1 else "numbers"
            hint = f"{written.partition(':')[0]} has the {word} {listed(numbers)}."
        else:
            hint = "" if self.sets else "None is made yet."
        raise not_found(f"There is no feature set {written}. {hint}".rstrip())

    def sets_of(self, name: str | None) -> list[dict[str, Any]]:
        """Return all sets, or those of a name: by name, the newest number first."""
        found = [each for each in self.sets.values() if name in (None, each["name"])]
        return sorted(found, key=lambda each: (each["name"], -each["number"]))

    def make_set(self, name: str, names: Sequence[str], *, reason: str) -> tuple[dict[str, Any], bool]:
        """Return the next set of a name, or the newest one if that is the same, and whether it is new."""
        unknown = next((each for each in names if each not in self.features), None)
        if unknown is not None:
            suggestion = did_you_mean(unknown, self.features)
            raise Refused(f"There is no feature {unknown}.{suggestion}", attr="names")
        types = {self.features[each].feature_type for each in names}
        before = self.sets_of(name)
        if before and before[0]["names"] == list(names):
            return before[0], False
        number = 1 + (before[0]["number"] if before else 0)
        made: dict[str, Any] = {
            "set": f"{name}:{number}", "name": name, "number": number, "names": list(names),
            "versions": dict.fromkeys(sorted(types), VERSION), "readable": True, "reason": reason,
            "made_at": datetime.now(UTC),
        }  # fmt: skip
        self.sets[made["set"]] = made
        return made, True

    # --- Weights ------------------------------------------------------------------------------------------------------

    def weight_sets(self) -> dict[str, Any]:
        """Return the one weight set as `GET weights/` answers it."""
        row = {
            "id": 1, "name": "First weights", "version": VERSION, "version_state": "live", "state": "active",
            "origin": "hand", "reason": "What FeatureHub starts with", "created_at": self.started_at,
            "activated_at": self.started_at, "monetary_norm": self.weights.monetary_norm,
            "weights": {
                name: {"weight": self.weights.weight_of(name), "norm": self.weights.norm_of(name)}
                for name in self.event_types
            },
        }  # fmt: skip
        return {"active": row, "results": [row]}
