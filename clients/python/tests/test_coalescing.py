"""Single reads that are asked at once are sent as one batch."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from conftest import Target
from featurehub_client import FeatureValues, InvalidRequestError, NotFoundError, PatchedRow, UnavailableError
from featurehub_client.testing import FakeServer

CUSTOMERS = [f"c{number}" for number in range(20)]
NAMES = ["cart_value", "nothing"]


def give_values(server: FakeServer) -> None:
    for number, customer_id in enumerate(CUSTOMERS):
        server.set_values(customer_id, {"cart_value": float(number)})


def paths(server: FakeServer) -> list[str]:
    return [request.url.path.removeprefix("/api/v1/") for request in server.requests]


def test_reads_of_one_turn_of_the_loop_are_one_batch(featurehub_server: FakeServer) -> None:
    give_values(featurehub_server)

    async def read() -> list[FeatureValues]:
        async with featurehub_server.async_client() as hub:
            return await asyncio.gather(*(hub.get_customer_features(each, NAMES) for each in [*CUSTOMERS, "c0"]))

    values = asyncio.run(read())
    assert [each.customer_id for each in values] == [*CUSTOMERS, "c0"]
    assert [each.features["cart_value"] for each in values] == [*map(float, range(20)), 0.0]
    assert paths(featurehub_server) == ["features/batch/"]


def test_a_read_alone_is_a_single_one(featurehub_server: FakeServer) -> None:
    async def read() -> None:
        async with featurehub_server.async_client() as hub:
            await hub.get_customer_features("c1", NAMES)
            await hub.get_customer_features("c2", NAMES)

    asyncio.run(read())
    assert paths(featurehub_server) == ["customers/c1/features/", "customers/c2/features/"]


def test_reads_of_other_names_or_of_all_names_are_not_mixed(featurehub_server: FakeServer) -> None:
    async def read() -> None:
        async with featurehub_server.async_client() as hub:
            await asyncio.gather(
                *(hub.get_customer_features(each, ["cart_value"]) for each in CUSTOMERS),
                *(hub.get_customer_features(each, ["loyalty_tier"], versions=["customer:1.0"]) for each in CUSTOMERS),
                hub.get_customer_features("c1"),
            )

    asyncio.run(read())
    assert sorted(paths(featurehub_server)) == ["customers/c1/features/", "features/batch/", "features/batch/"]


def test_more_than_a_thousand_reads_are_several_batches(featurehub_server: FakeServer) -> None:
    async def read() -> list[FeatureValues]:
        async with featurehub_server.async_client() as hub:
            return await asyncio.gather(*(hub.get_customer_features(f"c{number}", NAMES) for number in range(1_500)))

    assert len(asyncio.run(read())) == 1_500
    assert paths(featurehub_server) == ["features/batch/"] * 2


def test_a_wrong_id_fails_its_own_reader_only(featurehub_server: FakeServer) -> None:
    async def read() -> list[FeatureValues | BaseException]:
        async with featurehub_server.async_client() as hub:
            asked = (hub.get_customer_features(each, NAMES) for each in ["c1", "a b", "c2", "c/3"])
            return await asyncio.gather(*asked, return_exceptions=True)

    first, wrong, other, last = asyncio.run(read())
    assert isinstance(first, FeatureValues)
    assert isinstance(other, FeatureValues)
    assert [(type(each), getattr(each, "attr", None)) for each in (wrong, last)] == [
        (InvalidRequestError, "customer_id")
    ] * 2
    assert paths(featurehub_server).count("features/batch/") == 3


def test_a_set_that_is_wrong_for_all_is_asked_for_once(featurehub_server: FakeServer) -> None:
    async def read() -> list[FeatureValues | BaseException]:
        async with featurehub_server.async_client() as hub:
            asked = (hub.get_customer_features(each, feature_set="churn:1") for each in CUSTOMERS)
            return await asyncio.gather(*asked, return_exceptions=True)

    assert {type(each) for each in asyncio.run(read())} == {NotFoundError}
    assert len(featurehub_server.requests) == 1


def test_a_reader_that_is_cancelled_leaves_the_others(featurehub_server: FakeServer) -> None:
    async def read() -> FeatureValues:
        async with featurehub_server.async_client() as hub:
            given_up = asyncio.create_task(hub.get_customer_features("c1", NAMES))
            other = asyncio.create_task(hub.get_customer_features("c2", NAMES))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            return await other

    assert asyncio.run(read()).customer_id == "c2"


def test_a_failed_batch_fails_every_reader(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(times=100)

    async def read() -> list[FeatureValues | BaseException]:
        async with featurehub_server.async_client() as hub:
            asked = (hub.get_customer_features(each, NAMES) for each in ["c1", "c2"])
            return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(each) for each in asyncio.run(read())] == [UnavailableError] * 2


def test_reads_of_threads_within_the_window_are_one_batch(featurehub_server: FakeServer) -> None:
    give_values(featurehub_server)
    together = Barrier(len(CUSTOMERS))
    with (
        featurehub_server.client(coalesce=0.5) as hub,
        ThreadPoolExecutor(len(CUSTOMERS)) as threads,
    ):

        def read(customer_id: str) -> float:
            together.wait()
            return hub.get_customer_features(customer_id, NAMES).features["cart_value"]

        assert list(threads.map(read, CUSTOMERS)) == [*map(float, range(20))]
    assert paths(featurehub_server) == ["features/batch/"]


def test_threads_get_the_error_of_their_own_read(featurehub_server: FakeServer) -> None:
    with featurehub_server.client(coalesce=0.2) as hub, ThreadPoolExecutor(2) as threads:
        right = threads.submit(hub.get_customer_features, "c1", NAMES)
        wrong = threads.submit(hub.get_customer_features, "a b", NAMES)
        assert right.result().customer_id == "c1"
        with pytest.raises(InvalidRequestError, match="printable characters"):
            wrong.result()


def test_threads_read_singly_unless_they_are_told_to_wait(featurehub_server: FakeServer) -> None:
    with featurehub_server.client() as hub, ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda each: hub.get_customer_features(each, NAMES), ["c1", "c2"]))
    assert sorted(paths(featurehub_server)) == ["customers/c1/features/", "customers/c2/features/"]


def test_a_batch_gives_what_single_reads_give(target: Target, customer_id: str) -> None:
    ids = [f"{customer_id}-{number}" for number in range(5)]
    with target.client() as hub:
        rows = [PatchedRow(customer_id=each, features={"cart_value": 2.5}) for each in ids[:3]]
        hub.set_features_of_customers(rows, feature_type="contextual")
        single = [hub.get_customer_features(each, NAMES) for each in ids]

    async def read() -> list[FeatureValues]:
        async with target.async_client() as hub:
            return await asyncio.gather(*(hub.get_customer_features(each, NAMES) for each in ids))

    for one, of_batch in zip(single, asyncio.run(read()), strict=True):
        assert (one.customer_id, one.features, one.missing, one.versions, one.computed_at) == (
            of_batch.customer_id, of_batch.features, of_batch.missing, of_batch.versions, of_batch.computed_at
        )  # fmt: skip
