"""The shapes of a definitions file. Its JSON Schema, docs/definitions.schema.json, is made from them."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from events.event_types import EVENT_TYPE_PATTERN
from features.models.definitions import LIST_PLACES
from features.models.feature_sets import MOST_NAMES, SET_NAME

# Fields of a definition that have another name in the file.
KEY_OF_FIELD = {"window_hours": "window", "feature_type": "type"}
DEFINITION_NAME = r"^[a-z][a-z0-9_]{0,63}$"
VERSION_PIN = r"^(behavioral|customer|contextual|derived):[0-9]+(\.[0-9]+)*$"
SET_PIN = rf"{SET_NAME[:-1]}:[1-9][0-9]{{0,8}}$"
WINDOW_PATTERN = (
    r"^(([1-9]|[1-8][0-9]|90)d|([1-9]|[1-9][0-9]|[1-9][0-9][0-9]|1[0-9][0-9][0-9]|20[0-9][0-9]|21[0-5][0-9]|2160)h)$"
)


def keyed_by(pattern: str, description: str) -> Meta:
    """Return what the schema says of a mapping whose keys have this form; `parsing` checks it in words."""
    return Meta(extra_json_schema={"propertyNames": {"pattern": pattern}}, description=description)


DefinitionName: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": DEFINITION_NAME})]
VersionPin: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": VERSION_PIN}, examples=["behavioral:2.0"])]


class Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A member of a section."""


class EventTypeEntry(Entry, kw_only=True, frozen=True):
    """A registered event type. Of an archived one no new events are taken."""

    label: Annotated[str, Meta(max_length=64, description="For people; left out: the name in words.")] = ""
    description: str = ""
    archived: bool = False


class DefinitionEntry(Entry, kw_only=True, frozen=True):
    """A feature: its meaning, which does not change once a version past draft has it, and words about it."""

    type: Literal["behavioral", "customer", "contextual", "derived"]
    description: str = ""
    owner: Annotated[str, Meta(max_length=128)] = ""
    unit: Annotated[str, Meta(max_length=32)] = ""
    tags: list[str] = []
    kind: Annotated[
        Literal["count", "sum", "mean", "max", "last", "distinct"] | None,
        Meta(description="Of a windowed feature: what is computed of the events."),
    ] = None
    event_type: Annotated[str, Meta(description="Only events of this type count; left out: all.")] = ""
    category: Annotated[str | None, Meta(description="Only events of exactly this category count.")] = None
    metadata_key: Annotated[str, Meta(max_length=64, description="Of every kind but count.")] = ""
    window: Annotated[
        str | None,
        Meta(description="From 1h to 90d.", extra_json_schema={"pattern": WINDOW_PATTERN}, examples=["6h", "14d"]),
    ] = None
    half_life_days: Annotated[float, Meta(gt=0)] | None = None
    expression: Annotated[str, Meta(description="Of a derived feature.")] = ""
    default: Annotated[float, Meta(description="What a read gives where there is no value.")] = 0.0
    minimum: float | None = None
    maximum: float | None = None
    list_place: Annotated[int, Meta(ge=1, le=LIST_PLACES, description="Its column in customer lists.")] | None = None


class VersionEntry(Entry, kw_only=True, frozen=True):
    """A version of a feature type: one that is not there becomes a draft."""

    features: list[DefinitionName] = []
    inputs: Annotated[list[VersionPin], Meta(description="Of a derived version: what it is computed from.")] = []
    time_to_live: Annotated[int, Meta(ge=1, le=31_622_400, description="In seconds.")] | None = None


class FeatureSetEntry(Entry, kw_only=True, frozen=True):
    """A feature set, which never changes: its features in their order, and the version of each type."""

    features: Annotated[list[DefinitionName], Meta(min_length=1, max_length=MOST_NAMES)]
    versions: Annotated[list[VersionPin], Meta(min_length=1)]
    reason: Annotated[str, Meta(description="Kept with the set as it is made.")] = ""


class NumbersEntry(Entry, kw_only=True, frozen=True):
    """The numbers of an event type in a weight set."""

    weight: Annotated[float, Meta(ge=0)]
    norm: Annotated[float, Meta(gt=0)]


class WeightsEntry(Entry, kw_only=True, frozen=True):
    """The weights of a behavioral version: those that are not active become a draft set."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    reason: Annotated[str, Meta(description="Kept with the set as it is made.")] = ""
    monetary_norm: Annotated[float, Meta(gt=0)] = 1_000.0
    event_types: Annotated[
        dict[str, NumbersEntry],
        keyed_by(EVENT_TYPE_PATTERN, "An event type that is left out has the weight 0 and the norm 100."),
    ]


class DefinitionsFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A file of FeatureHub's definitions: see docs/definitions-as-code.md. What it does not name stays as it is."""

    featurehub: Annotated[Literal[1], Meta(description="The format of the file.")] = 1
    event_types: Annotated[dict[str, EventTypeEntry], keyed_by(EVENT_TYPE_PATTERN, "name → event type")] = {}
    definitions: Annotated[dict[str, DefinitionEntry], keyed_by(DEFINITION_NAME, "name → feature")] = {}
    versions: Annotated[dict[str, VersionEntry], keyed_by(VERSION_PIN, "behavioral:2.0 → version")] = {}
    sets: Annotated[dict[str, FeatureSetEntry], keyed_by(SET_PIN, "churn_model:3 → feature set")] = {}
    weights: Annotated[dict[str, WeightsEntry], keyed_by(VERSION_PIN, "behavioral:2.0 → weights")] = {}


# Section → the shape of its members, the form of their keys, and that form in words.
SECTIONS: dict[str, tuple[type[Entry], str, str]] = {
    "event_types": (EventTypeEntry, EVENT_TYPE_PATTERN, "a name such as trial_started"),
    "definitions": (DefinitionEntry, DEFINITION_NAME, "a name such as trials_6h"),
    "versions": (VersionEntry, VERSION_PIN, "a type and a number such as behavioral:2.0"),
    "sets": (FeatureSetEntry, SET_PIN, "a name and a number such as churn_model:3"),
    "weights": (WeightsEntry, VERSION_PIN, "a behavioral version such as behavioral:1.0"),
}


def as_plain(entry: Entry) -> dict[str, Any]:
    """Return the entry as YAML has it: in plain types, without what it has by default."""
    plain: dict[str, Any] = msgspec.to_builtins(entry)
    fields = {field.name: field for field in msgspec.structs.fields(entry)}
    return {name: value for name, value in plain.items() if value != default_of(fields[name])}


def default_of(field: msgspec.structs.FieldInfo) -> object:
    """Return the value of a field that is left out; NODEFAULT where it has to be there."""
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a definitions file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "FeatureHub definitions"}
    return schema | msgspec.json.schema(DefinitionsFile)
