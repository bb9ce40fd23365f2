"""The first page of a customer list beside bare SQL on an index, and what lists cost other work."""

import time
from collections.abc import Callable, Sequence

from django.db import connection

from benchmarks import events, goals
from benchmarks.batch_floors import leave_servers_alone, vacuum
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.spent import Spent, spent
from benchmarks.suites.batch import new_weights, second_refresh
from features.materialization import customer_lists, recompute
from features.models import FeatureDefinition, Run
from features.registry.list_layout import list_layout
from features.registry.snapshot import registry_snapshot
from features.serving.customer_lists import customer_list, parse_conditions
from features.serving.list_pages import read_figures, read_list

CUSTOMERS = 1_000_000
CUSTOMERS_COMPUTED = 100_000
PER_PAGE = 50
# Random values in the layout of the first listed features, each of full length.
FILL = """
insert into features_customer (customer_id, computed_at, recompute_at, last_seen_at, listed, listed_of)
select 'customer-' || number, now(), now() + interval '9 days', now() - random() * interval '30 days',
    array[extract(epoch from now()) - random() * 2592000, random(), random(), random()], %(listed_of)s
from generate_series(1, %(customers)s) number
"""
INDEXED = """
create table benchmark_scores as select customer_id, listed[2] as score from features_customer;
create index on benchmark_scores (score desc, customer_id);
"""
BARE = "select customer_id, score from benchmark_scores order by score desc, customer_id limit %s"


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=10 takes a tenth of the customers."""
    leave_servers_alone()
    places = dict(FeatureDefinition.objects.exclude(list_place=None).values_list("pk", "list_place"))
    events.make_events(customers=scaled(CUSTOMERS_COMPUTED))
    turns = [(cost_of_turn(places), cost_of_turn({})) for _ in range(RUNS)]
    list_these(places)
    upkeep = [
        upkeep_row(work, listed=[one[number] for one, _ in turns], unlisted=[other[number] for _, other in turns])
        for number, work in enumerate(("full recompute", "refresh", "new weights"))
    ]
    return [*page_rows(), *upkeep]


def list_these(places: dict[int, int]) -> None:
    """Give these definitions their places, and no others."""
    FeatureDefinition.objects.update(list_place=None)
    for pk, place in places.items():
        FeatureDefinition.objects.filter(pk=pk).update(list_place=place)
    registry_snapshot.forget()
    if (filling := customer_lists.begin_filling()) is not None:
        while customer_lists.fill_next(filling):
            pass


def cost_of_turn(places: dict[int, int]) -> tuple[Spent, Spent, Spent]:
    """Return the cost of a full recompute with all its publications, of a refresh and of new weights.

    `places` are the listed definitions.
    """
    list_these(places)
    vacuum()
    with spent() as recomputed:
        run = recompute.begin_recompute()
        while recompute.load_chunk(run):
            pass
        run.refresh_from_db()
    assert run.state == Run.State.DONE
    refreshed = second_refresh()
    return recomputed, refreshed.marks + refreshed.renewals, new_weights(page_view=time.time() % 1)


def upkeep_row(work: str, *, listed: Sequence[Spent], unlisted: Sequence[Spent]) -> Row:
    return Row(
        work=f"{work} of {scaled(CUSTOMERS_COMPUTED):,} customers with the first features listed, against none",
        figures=[cost.cpu for cost in listed],
        unit="CPU s",
        against="peer",
        references=[cost.cpu for cost in unlisted],
        goal=goals.LISTS_UPKEEP,
    )


def page_rows() -> list[Row]:
    """Return the rows of first pages of a full list."""
    customers = scaled(CUSTOMERS)
    events.delete_values()
    with connection.cursor() as cursor:
        cursor.execute("truncate features_customer cascade")
        listed_of = list_layout(registry_snapshot.get(younger_than=0)).checksum
        cursor.execute(FILL, {"customers": customers, "listed_of": listed_of})
        cursor.execute("drop table if exists benchmark_scores")
        cursor.execute(INDEXED)
        cursor.execute("vacuum analyze features_customer")
        cursor.execute("vacuum analyze benchmark_scores")
    bare = seconds_of(bare_page)
    everybody = lambda: read_list(customer_list(order="-engagement_score"), limit=PER_PAGE)  # noqa: E731
    conditions = parse_conditions(["engagement_score>=0.7", "days_since_purchase<=7"])
    narrowed = lambda: read_list(customer_list(order="-rfm_score", conditions=conditions), limit=PER_PAGE)  # noqa: E731
    figures = lambda: read_figures(customer_list())  # noqa: E731
    pages: dict[str, Callable[[], object]] = {
        "first page, sorted by the engagement score": everybody,
        "first page above 0.7, bought within 7 days, by RFM score": narrowed,
        "totals and means": figures,
    }
    return [
        Row(
            work=f"{work}, of {customers:,} customers",
            figures=seconds_of(page),
            unit="s",
            goal=goals.SECONDS_PER_LIST,
            details={"bare_sql_on_an_index": bare},
        )
        for work, page in pages.items()
    ]


def bare_page() -> None:
    with connection.cursor() as cursor:
        cursor.execute(BARE, [PER_PAGE])
        cursor.fetchall()


def seconds_of(page: Callable[[], object]) -> list[float]:
    """Return the seconds of each run; a first one, which fills PostgreSQL's memory, does not count."""
    seconds = []
    for _ in range(RUNS + 1):
        since = time.perf_counter()
        page()
        seconds.append(time.perf_counter() - since)
    return seconds[1:]
