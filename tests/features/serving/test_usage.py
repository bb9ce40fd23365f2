"""The note of which API keys use which versions."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext

from featurehub.access.models import ApiKey, create_api_key
from features.models import VersionUse
from features.serving import usage
from features.serving.usage import note_read, note_write
from tests.api_client import ApiClient
from tests.at_once import at_once
from tests.away import postgres_away
from tests.factories import make_client, make_customer, make_version, url_of

BOTH = {"behavioral": "1.0", "customer": "1.0"}


@pytest.fixture(autouse=True)
def no_pause_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note at once, also after a test in which PostgreSQL was away. Every test makes API keys of its own."""
    monkeypatch.setattr(usage, "_next_try", 0.0)


def make_key(name: str = "checkout") -> ApiKey:
    key, _ = create_api_key(name, scopes=["read"])
    return key


def noted(kind: str = "read") -> set[tuple[str, str]]:
    return {(use.api_key.name, str(use.version)) for use in VersionUse.objects.filter(kind=kind)}


def test_the_versions_that_a_key_reads_are_noted(db: None) -> None:
    note_read(make_key().pk, BOTH)
    make_version("behavioral", state="shadow")
    note_read(make_key("search").pk, {"behavioral": "2.0"})
    assert noted() == {
        ("checkout", "behavioral:1.0"),
        ("checkout", "customer:1.0"),
        ("search", "behavioral:2.0"),
    }
    read = VersionUse.objects.first()
    assert read is not None
    assert datetime.now(UTC) - read.used_at < timedelta(minutes=1)


def test_they_are_noted_once_an_hour(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()
    note_read(key.pk, BOTH)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    VersionUse.objects.update(used_at=long_ago)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(10):
            note_read(key.pk, BOTH)
            note_read(key.pk, {"customer": "1.0"})
    assert len(queries) == 0

    an_hour_later = usage.time.monotonic() + usage.SECONDS_BETWEEN_NOTES
    monkeypatch.setattr(usage.time, "monotonic", lambda: an_hour_later + 1)
    note_read(key.pk, {"customer": "1.0"})
    left = VersionUse.objects.filter(used_at=long_ago)
    assert VersionUse.objects.count() == 2
    assert [read.version.feature_type for read in left] == ["behavioral"]


def test_several_versions_are_one_statement(db: None) -> None:
    key = make_key()
    with CaptureQueriesContext(connection) as queries:
        note_read(key.pk, BOTH | {"derived": "1.0", "contextual": "1.0"})
    assert len(queries) == 1
    assert len(noted()) == 4


def test_a_key_or_version_that_is_gone_is_nothing_to_note(db: None) -> None:
    note_read(999_999, BOTH)
    note_read(make_key().pk, {"behavioral": "9.0"})
    assert noted() == set()


def test_with_postgresql_away_it_is_logged_and_noted_later(
    committed: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key()
    with postgres_away(), caplog.at_level(logging.WARNING, logger="features.serving.usage"):
        for _ in range(5):
            note_read(key.pk, BOTH)
    assert len([record for record in caplog.records if "was not noted" in record.message]) == 1
    note_read(key.pk, BOTH)
    assert noted() == set()

    a_minute_later = usage.time.monotonic() + usage.SECONDS_UNTIL_NEXT_TRY
    monkeypatch.setattr(usage.time, "monotonic", lambda: a_minute_later + 1)
    note_read(key.pk, BOTH)
    assert len(noted()) == 2


def test_many_readers_at_once_note_it_all(committed: None) -> None:
    keys = [make_key(f"key-{number}") for number in range(4)]
    at_once(*[lambda key=key: note_read(key.pk, BOTH) for key in keys])  # type: ignore[misc]
    assert len(noted()) == 8


READS: list[Callable[[ApiClient], HttpResponse]] = [
    lambda api: api.get(url_of("c1")),
    lambda api: api.get(url_of("c1") + "?names=engagement_score&version=behavioral:2.0"),
    lambda api: api.get(url_of("c1", "vector/")),
    lambda api: api.post("/api/v1/features/batch/", {"customer_ids": ["c1"], "names": ["cart_value"]}),
    lambda api: api.get(url_of("c1", "features/recency_score/history/?version=2.0")),
    lambda api: api.post(
        "/api/v1/features/as-of/",
        {"entities": [{"customer_id": "c1", "timestamp": "2026-01-01T00:00:00Z"}], "names": ["cart_value", "foo"]},
    ),
]
ALL = {"behavioral:1.0", "contextual:1.0", "customer:1.0", "derived:1.0"}
EXPECTED = [ALL, {"behavioral:2.0"}, ALL, {"contextual:1.0"}, {"behavioral:2.0"}, {"contextual:1.0"}]


@pytest.mark.parametrize(("read", "versions"), list(zip(READS, EXPECTED, strict=True)))
def test_every_way_to_read_is_noted(db: None, read: Callable[[ApiClient], HttpResponse], versions: set[str]) -> None:
    make_version("behavioral", state="shadow")
    make_customer("c1", login=1)
    assert read(make_client("read")).status_code == 200
    assert noted() == {("test", version) for version in versions}


def test_a_read_that_is_refused_is_not_noted(db: None) -> None:
    make_client("read").get(url_of("c1") + "?version=9.0")
    make_client("ingest").get(url_of("c1"))
    assert noted() == set()


# --- Writers --------------------------------------------------------------------------------------------------------


def write(api: ApiClient, *, version: str = "1.0", **features: float) -> HttpResponse:
    body = {"feature_type": "customer", "version": version, "features": features}
    return api.patch(url_of("c1"), body)


def test_who_writes_a_version_is_noted_as_its_writer_and_not_as_a_reader(db: None) -> None:
    assert write(make_client("write"), tenure_days=3).status_code == 200
    assert noted("write") == {("test", "customer:1.0")}
    assert noted("read") == set()


def test_a_key_that_reads_and_writes_is_noted_for_both(db: None) -> None:
    key = make_key()
    note_read(key.pk, {"customer": "1.0"})
    note_write(key.pk, {"customer": "1.0"})
    assert noted("read") == noted("write") == {("checkout", "customer:1.0")}


def test_writes_are_noted_once_an_hour(db: None) -> None:
    api = make_client("write")
    write(api, tenure_days=3)
    VersionUse.objects.all().delete()
    write(api, tenure_days=4)
    assert noted("write") == set()


def test_a_write_that_is_refused_is_not_noted(db: None) -> None:
    assert write(make_client("write"), invented=3).status_code == 400
    assert write(make_client("write"), version="9.0", tenure_days=3).status_code == 404
    assert write(make_client("read"), tenure_days=3).status_code == 403
    assert noted("write") == set()
