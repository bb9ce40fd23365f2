"""rebuild_cache: Redis can be lost and is rebuilt from PostgreSQL."""

from io import StringIO

import pytest
import redis
from django.core.management import CommandError, call_command
from django.test import override_settings
from django_redis import get_redis_connection

from features.online import publish
from tests.factories import cached, make_client, make_customer, url_of

pytestmark = pytest.mark.django_db


def rebuild() -> str:
    out = StringIO()
    call_command("rebuild_cache", stdout=out)
    return out.getvalue()


def test_what_redis_lost_is_published_again(empty_redis: "redis.Redis[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "PUBLISHED_PER_CHUNK", 2)
    customers = [make_customer(f"c{number}", page_view=number) for number in range(1, 6)]
    patched = {"feature_type": "customer", "version": "1.0", "features": {"tenure_days": 3}}
    assert make_client("write").patch(url_of("client-only"), patched).status_code == 200
    held = {customer_id: cached(customer_id) for customer_id in [*customers, "client-only"]}
    empty_redis.flushdb()
    assert "6 customers were published." in rebuild()
    assert {customer_id: cached(customer_id) for customer_id in held} == held
    assert all(values["page_views_30d"] == f"{number}.0" for number, values in enumerate(map(cached, customers), 1))


def test_nobody_to_publish_is_no_failure() -> None:
    assert "0 customers were published." in rebuild()


def test_redis_away_ends_with_one_sentence() -> None:
    make_customer("c1", page_view=1)
    caches = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}}
    with override_settings(CACHES=caches), pytest.raises(CommandError, match="Redis is unavailable"):
        rebuild()
    assert get_redis_connection("default").ping()
