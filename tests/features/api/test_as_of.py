"""POST features/as-of/: no value from the future."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from featurehub.access.models import Scope
from features.materialization import recompute
from features.models import CustomerFeature, FeatureDefinition, FeatureVersion
from tests.api_client import ApiClient
from tests.factories import forget_registry, make_client, make_purchase, store_events

URL = "/api/v1/features/as-of/"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
NAMES = ["purchases_30d", "cart_value"]


def entity(moment: datetime, customer_id: str = "c1") -> dict[str, str]:
    return {"customer_id": customer_id, "timestamp": moment.isoformat()}


def ask(api: ApiClient, *entities: dict[str, str], **fields: Any) -> list[dict[str, Any]]:
    answer = api.post(URL, {"entities": entities, "names": NAMES, **fields})
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


@pytest.fixture
def two_purchases(db: None) -> None:
    """Make one purchase at noon and one a day later, each computed an hour after it."""
    for day in (0, 1):
        store_events(make_purchase(timestamp=NOON + timedelta(days=day)))
        recompute.recompute_customers(customer_ids=["c1"], as_of=NOON + timedelta(days=day, hours=1))


def test_a_value_holds_from_its_moment_until_the_next(api: ApiClient, two_purchases: None) -> None:
    hours = (0, 1, 24, 25)
    rows = ask(api, *(entity(NOON + timedelta(hours=hour)) for hour in hours))
    assert [row["features"]["purchases_30d"] for row in rows] == [0.0, 1.0, 1.0, 2.0]
    assert [row["missing"] for row in rows] == [
        {"purchases_30d": "no_value", "cart_value": "no_value"},
        *[{"cart_value": "no_value"}] * 3,
    ]


def test_answers_come_in_the_order_asked(api: ApiClient, two_purchases: None) -> None:
    asked = [entity(NOON + timedelta(days=3)), entity(NOON, "nobody"), entity(NOON + timedelta(hours=2))]
    rows = ask(api, *asked)
    assert [(row["customer_id"], row["features"]["purchases_30d"]) for row in rows] == [
        ("c1", 2.0),
        ("nobody", 0.0),
        ("c1", 1.0),
    ]


def test_a_late_event_does_not_show_in_what_was_known_before_it(api: ApiClient, two_purchases: None) -> None:
    known_at = CustomerFeature.objects.latest("recorded_at").recorded_at
    store_events(make_purchase(timestamp=NOON - timedelta(hours=1)))
    recompute.recompute_customers(customer_ids=["c1"], as_of=NOON + timedelta(hours=1))
    later = entity(NOON + timedelta(hours=1))
    assert ask(api, later)[0]["features"]["purchases_30d"] == 2.0
    assert ask(api, later, known_at=known_at.isoformat())[0]["features"]["purchases_30d"] == 1.0


def test_a_pinned_version_is_read_and_an_unknown_one_is_404(api: ApiClient, two_purchases: None) -> None:
    body = {"entities": [entity(NOON + timedelta(days=3))], "names": NAMES}
    assert ask(api, *body["entities"], version="behavioral:1.0")[0]["features"]["purchases_30d"] == 2.0
    assert api.post(URL, {**body, "version": ["behavioral:9"]}).status_code == 404


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"])
def test_the_first_and_the_last_moment_can_be_asked_for(api: ApiClient, two_purchases: None, moment: str) -> None:
    (row,) = ask(api, {"customer_id": "c1", "timestamp": moment}, known_at=moment)
    assert row["features"]["purchases_30d"] == (2.0 if moment.startswith("9") else 0.0)


def test_a_name_without_a_value_has_its_default(api: ApiClient, db: None) -> None:
    FeatureDefinition.objects.filter(name="cart_value").update(default=-1.0)
    forget_registry()
    (row,) = ask(api, entity(NOON), names=["cart_value", "foo"])
    assert row["features"] == {"cart_value": -1.0, "foo": 0.0}
    assert row["missing"] == {"cart_value": "no_value", "foo": "unknown"}


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"entities": []}, "entities"),
        ({"entities": [{"customer_id": "c1"}]}, "entities.0.timestamp"),
        ({"entities": [{"customer_id": "c1", "timestamp": "2026-01-01T00:00:00"}]}, "entities.0.timestamp"),
        ({"entities": [{"customer_id": "a b", "timestamp": "2026-01-01T00:00:00Z"}]}, "entities.0.customer_id"),
        ({"names": []}, "names"),
        ({"known_at": 5}, "known_at"),
    ],
)
def test_bad_input_is_named(api: ApiClient, change: dict[str, Any], attr: str) -> None:
    answer = api.post(URL, {"entities": [entity(NOON)], "names": NAMES, **change})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == attr


@pytest.mark.django_db
def test_reading_needs_the_read_scope() -> None:
    assert make_client(Scope.INGEST).post(URL, {"entities": [entity(NOON)], "names": NAMES}).status_code == 403


def test_what_a_client_wrote_too_long_before_has_expired(api: ApiClient) -> None:
    FeatureVersion.objects.filter(feature_type="contextual").update(time_to_live=3600)
    forget_registry()
    body = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 9}}
    make_client("write").patch("/api/v1/customers/c1/features/", {**body, "timestamp": NOON.isoformat()})
    rows = ask(api, entity(NOON + timedelta(hours=1)), entity(NOON + timedelta(hours=1, microseconds=1)))
    assert [row["features"]["cart_value"] for row in rows] == [9.0, 0.0]
    assert [row["missing"].get("cart_value") for row in rows] == [None, "expired"]


@pytest.mark.parametrize("offset", ["+16:00", "-16:00", "+23:59", "-23:59"])
def test_an_offset_that_postgresql_does_not_know_is_a_moment_like_any_other(
    api: ApiClient, two_purchases: None, offset: str
) -> None:
    moment = f"2026-03-11T00:00:00{offset}"
    in_utc = datetime.fromisoformat(moment).astimezone(UTC)
    asked = {"customer_id": "c1", "timestamp": moment}
    assert ask(api, asked)[0]["features"] == ask(api, entity(in_utc))[0]["features"]
    assert ask(api, asked, known_at=moment)[0]["missing"]["purchases_30d"] == "no_value"
