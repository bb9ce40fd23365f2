"""What was made a moment ago in another process is looked for in PostgreSQL before a request is refused for it."""

from typing import Any

import pytest
from django.http import HttpResponse
from pytest_django import DjangoAssertNumQueries

from features.lifecycle import drafts
from features.lifecycle.feature_sets import make_feature_set
from features.models import FeatureVersion
from features.registry import snapshot
from features.registry.snapshot import registry_snapshot
from tests.api_client import ApiClient
from tests.factories import make_customer, make_definition, make_version, url_of

BATCH = "/api/v1/features/batch/"


def row(**features: float) -> dict[str, Any]:
    return {"customer_id": "c1", "features": features}


def of(version: str, **fields: Any) -> dict[str, Any]:
    return {"feature_type": "customer", "version": version, **fields}


REQUESTS = {
    "write to a version": ("PATCH", url_of("c1"), of("1.1", features={"churn_score": 0.5})),
    "write rows to a version": ("PATCH", BATCH, of("1.1", rows=[row(churn_score=0.5)])),
    "write a name": ("PATCH", url_of("c1"), of("1.0", features={"cats": 2})),
    "write rows with a name": ("PATCH", BATCH, of("1.0", rows=[row(tenure_days=1), row(cats=2)])),
    "read a version": ("GET", url_of("c1") + "?version=customer:1.1", None),
    "read a set": ("GET", url_of("c1") + "?set=churn_model:1", None),
    "read a set of many": ("POST", BATCH, {"customer_ids": ["c1"], "set": "churn_model:1"}),
    "read the history of a name": ("GET", "/api/v1/customers/c1/features/cats/history/", None),
    "read the history of a version": ("GET", "/api/v1/customers/c1/features/churn_score/history/?version=1.1", None),
    "read as of a moment": (
        "POST",
        "/api/v1/features/as-of/",
        {"entities": [{"customer_id": "c1", "timestamp": "2999-01-01T00:00:00Z"}], "set": "churn_model:1"},
    ),
}


def send(api: ApiClient, name: str) -> HttpResponse:
    method, path, body = REQUESTS[name]
    return api.get(path) if body is None else getattr(api, method.lower())(path, body)


@pytest.fixture
def made_elsewhere(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what the requests are about, and leave the copy in memory as it was before."""
    make_customer("c1")
    registry_snapshot.get()
    before = registry_snapshot._copy
    make_version("customer", "1.1", churn_score={}, state="shadow")
    live = FeatureVersion.objects.get(feature_type="customer", number="1.0")
    drafts.add_definitions(live.pk, [make_definition("cats")], by=None)
    make_feature_set("churn_model", names=["cats", "tenure_days"])
    monkeypatch.setattr(registry_snapshot, "_copy", before)
    assert "churn_model:1" not in registry_snapshot.get().sets


@pytest.mark.parametrize("name", REQUESTS)
def test_it_is_found(made_elsewhere: None, api: ApiClient, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(snapshot, "LOOK_AGAIN_SECONDS", 0.0)
    response = send(api, name)
    assert response.status_code == 200, response.content


def test_requests_for_what_nobody_made_do_not_become_queries(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(snapshot, "LOOK_AGAIN_SECONDS", 3_600.0)
    api.get(url_of("c1"))
    with django_assert_num_queries(0):
        for _ in range(5):
            assert api.get(url_of("c1") + "?set=churn_model:1").status_code == 404
