"""Draw customers at random, each as likely as any other, at a cost that does not grow with their number."""

import random
from collections.abc import Sequence

from django.db import connection

from features.models import Customer

# PostgreSQL has no more rows on a page of 8 KB.
MOST_ROWS_ON_A_PAGE = 291
# After so many draws of several times the number wanted, the table consists of dead rows, and all of it is read.
DRAWS = 50
PAGES = "select pg_relation_size('features_customer') / current_setting('block_size')::int"
ROWS_AT = "select customer_id from features_customer where ctid = any(%s::tid[])"


def draw_customers(size: int) -> tuple[list[str], bool]:
    """Return `size` random customers and False, or everybody and True where there are no more than `size`.

    Places in the table are drawn, and those without a row are thrown away, so that each row is drawn with the same
    probability and on its own. `tablesample` draws whole pages, whose customers have arrived together, or reads the
    whole table.
    """
    first = list(Customer.objects.order_by("pk").values_list("pk", flat=True)[: size + 1])
    if len(first) <= size:
        return first, True
    drawn: dict[str, None] = {}
    for _ in range(DRAWS):
        drawn |= dict.fromkeys(customers_at(random_places(4 * (size - len(drawn)) + 100)))
        if len(drawn) >= size:
            return list(drawn)[:size], False
    return list(Customer.objects.order_by("?").values_list("pk", flat=True)[:size]), False


def random_places(number: int) -> list[str]:
    """Return random places in the table of customers, as PostgreSQL writes them; most of them hold no row."""
    with connection.cursor() as cursor:
        cursor.execute(PAGES)
        (pages,) = cursor.fetchone()
    draw = random.Random()  # noqa: S311 - chance, not secrecy
    return [f'"({draw.randrange(pages)},{draw.randrange(MOST_ROWS_ON_A_PAGE) + 1})"' for _ in range(number)]


def customers_at(places: Sequence[str]) -> list[str]:
    """Return the customers at these places, in an order that is as random."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS_AT, [f"{{{','.join(places)}}}"])
        found = [customer_id for (customer_id,) in cursor.fetchall()]
    random.shuffle(found)
    return found
