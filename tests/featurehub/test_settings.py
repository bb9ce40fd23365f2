"""Settings from the environment: a wrong value stops the start with a sentence that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from featurehub.lib.environment import comma_separated, read_setting, switch, url, whole_number

PROJECT = Path(__file__).resolve().parents[2]
RIGHT = {
    "DATABASE_URL": "postgresql://user:password@localhost:5432/name",
    "REDIS_URL": "redis://localhost:6379/0",
    "SECRET_KEY": "x",
    "FEATUREHUB_TOMBSTONE_KEY": "y",
    "ALLOWED_HOSTS": "localhost",
}


def start(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py check` in an environment with these settings and no other."""
    return subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), "check"],
        env={"PATH": os.environ["PATH"], **{name: value for name, value in (RIGHT | environment).items() if value}},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://localhost/name"),
        ("DATABASE_URL", "postgresql://localhost:port/name"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://localhost:port/0"),
        ("FEATUREHUB_FEATURE_TTL", "1h"),
        ("PORT", "65536"),
        ("FEATUREHUB_HTTPS", "maybe"),
        ("FEATUREHUB_HSTS", "everywhere"),
        ("FEATUREHUB_TOMBSTONE_KEY", ","),
    ],
)
def test_a_wrong_value_stops_the_start_with_one_sentence_that_names_it(name: str, value: str) -> None:
    done = start(**{name: value})
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    assert name in sentence
    assert value in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TTL", "1"), ("TTL", "3601"), ("TTL", ""), ("TTL", "1.5"), ("TTL", "-5"), ("TTL", "1e3"), ("TTL", "ten"),
    ],
)  # fmt: skip
def test_a_number_outside_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        read_setting(name, parse=whole_number(least=2, most=3600), expected="a whole number of seconds")


def test_what_is_unset_or_empty_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TTL", raising=False)
    number = whole_number(least=0, most=9)
    assert read_setting("TTL", parse=number, expected="a digit", default="7") == 7
    monkeypatch.setenv("TTL", "")
    assert read_setting("TTL", parse=number, expected="a digit", default="7") == 7
    monkeypatch.setenv("TTL", "3")
    assert read_setting("TTL", parse=number, expected="a digit", default="7") == 3


def test_what_has_no_default_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    with pytest.raises(ImproperlyConfigured, match="SECRET is not set: it must be a long random string"):
        read_setting("SECRET", parse=str, expected="a long random string")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1", True),
        ("TRUE", True),
        ("yes", True),
        ("On", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_a_switch_knows_the_usual_words(text: str, meaning: bool) -> None:
    assert switch(text) is meaning


def test_words_are_separated_by_commas_and_blanks_do_not_count() -> None:
    assert comma_separated(" a.example, b.example ,,") == ["a.example", "b.example"]


@pytest.mark.parametrize("text", ["", "redis:/x", "redis://", "http://x", "//x", "redis"])
def test_a_url_has_one_of_the_schemes_and_a_host(text: str) -> None:
    with pytest.raises(ValueError, match=text or "^$"):
        url("redis", "rediss")(text)
