"""Workers go on while a version can't be computed: live values are computed and published."""

from pathlib import Path

import pytest

from featurehub.devserver.valkey import Valkey
from features.models import FeatureVersion
from features.registry.snapshot import registry_snapshot
from tests.celery_programs import celery, wait_for, worker
from tests.factories import cached, make_purchase, store_events
from tests.features.materialization.failing_version import force_into_shadow

pytestmark = [pytest.mark.usefixtures("committed"), pytest.mark.timeout(180)]


def wait_until_computed(customer_id: str) -> None:
    """Store a purchase, and return when its amount is in Redis."""
    store_events(make_purchase(amount=50.0, customer_id=customer_id))
    wait_for(lambda: cached(customer_id).get("purchase_amount_30d") == "50.0")


def test_live_is_computed_and_published_while_a_draft_that_fails_is_in_shadow(tmp_path: Path) -> None:
    broker = Valkey(tmp_path / "valkey")
    with broker.shared() as url, worker(url) as process, celery("beat", url=url):
        wait_until_computed("c1")
        version = force_into_shadow()
        wait_until_computed("c2")
        wait_until_computed("c3")
        assert process.poll() is None
        version.refresh_from_db()
        assert version.state == FeatureVersion.State.SHADOW
        assert "1664" in version.put_aside_because
        assert registry_snapshot.get(younger_than=0).put_aside.keys() == {("behavioral", "2.0")}
