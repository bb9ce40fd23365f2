"""docs/definitions.schema.json is made from the shapes of the code, and takes what they take."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from features.as_code.contents import exported_text
from features.as_code.shapes import json_schema
from tests.features.as_code.files import TRIALS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_file_is_what_the_code_says() -> None:
    made = json.loads((DOCS / "definitions.schema.json").read_text())
    assert made == json_schema(), "manage.py export_definitions --schema --out docs/definitions.schema.json"


def test_it_takes_an_export_and_a_file_with_everything(db: None) -> None:
    for text in (exported_text(), TRIALS):
        jsonschema.validate(yaml.safe_load(text), json_schema())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("window: 6h", "window: 0h"), ("window: 6h", "window: 91d"), ("window: 6h", "windw: 6h"),
        ("type: customer", "type: custom"), ("behavioral:2.0:", "behavioral2.0:"), ("trial_model:3", "trial_model"),
        ("weight: 0.3", "weight: -1"), ("featurehub: 1", "featurehub: 2"), ("sets:", "set:"),
    ],
)  # fmt: skip
def test_it_refuses_what_the_code_refuses(right: str, wrong: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(TRIALS.replace(right, wrong, 1)), json_schema())


@pytest.mark.parametrize("window", ["1h", "9h", "99h", "100h", "1999h", "2099h", "2159h", "2160h", "1d", "89d", "90d"])
def test_it_takes_all_windows_that_there_are(window: str) -> None:
    jsonschema.validate(yaml.safe_load(TRIALS.replace("6h\n", f"{window}\n")), json_schema())
