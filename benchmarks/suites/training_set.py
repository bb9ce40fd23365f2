"""build_training_set beside the same join in psql: labels copied in, and the statement's answer written to a file."""

import os
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import history
from benchmarks.rows import RUNS, Row
from benchmarks.scale import scaled
from benchmarks.servers import PROJECT
from benchmarks.spent import Spent, spent
from featurehub.devserver.postgres import Postgres
from features.offline.held_join import join_sql, views_by_name

CUSTOMERS = 100_000
LABELS = 1_000_000
NAMES = (
    "engagement_score", "page_views_30d", "email_opens_30d", "email_clicks_30d", "form_submits_30d", "purchases_30d",
    "conversion_rate", "login_frequency", "session_duration", "recency_score", "frequency_score",
    "purchase_amount_30d", "monetary_score", "category_preferences", "rfm_score", "cart_value", "items_in_cart",
)  # fmt: skip
STAGE = """
create temporary table staged_label
    (position bigint generated always as identity, customer_id text, moment timestamptz, churned text)
"""


def run() -> list[Row]:
    """Return the rows. BENCH_SCALE=10 takes a tenth of the customers and labels."""
    customers, labels = scaled(CUSTOMERS), scaled(LABELS)
    rows = history.make_history(customers=customers)
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = write_labels(folder / "labels.csv", labels=labels, customers=customers)
        tenth = write_labels(folder / "tenth.csv", labels=labels // 10, customers=customers)
        turns = [(build(file, folder=folder), floor(file, folder=folder)) for _ in range(RUNS)]
        _, peak_of_tenth = build(tenth, folder=folder)
    ours, floors = [cost for (cost, _), _ in turns], [cost for _, cost in turns]
    return [
        Row(
            work=f"build_training_set, {labels:,} labels × {len(NAMES)} features, {rows:,} rows of history",
            figures=[labels / cost.wall for cost in ours],
            unit="rows/s",
            against="floor",
            references=[labels / cost.wall for cost in floors],
            details={"cpu": median(cost.cpu for cost in ours), "floor_cpu": median(cost.cpu for cost in floors)},
        ),
        Row(
            work="peak memory of build_training_set, 10 × the labels",
            figures=[mb for (_, mb), _ in turns],
            unit="MB",
            against="peer",
            references=[peak_of_tenth] * RUNS,
        ),
    ]


def write_labels(path: Path, *, labels: int, customers: int) -> Path:
    """Write labels of random customers at random moments, before their first values and after their last ones too."""
    draw = random.Random(1)
    span = history.LAST_DAY - history.FIRST_DAY + timedelta(days=2)
    with path.open("w") as file:
        file.write("customer_id,timestamp,churned\n")
        for number in range(labels):
            moment = history.FIRST_DAY + span * draw.random()
            file.write(f"customer-{draw.randrange(customers):08d},{moment.isoformat()},{number % 2}\n")
    return path


def build(labels: Path, *, folder: Path) -> tuple[Spent, float]:
    """Run the command in a process of its own. Return its cost and its peak memory in MB."""
    command = [sys.executable, "manage.py", "build_training_set", str(labels), "--out", str(folder / "set.parquet")]
    with spent() as cost:
        process = subprocess.Popen(
            [*command, "--names", ",".join(NAMES), "-v", "0"], cwd=PROJECT, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"build_training_set ended with {process.returncode}")
    return cost, used.ru_maxrss / 1024


def floor(labels: Path, *, folder: Path) -> Spent:
    """Return the cost of the same statement on the same labels, by psql into a CSV file."""
    server = Postgres(Path(os.environ["FEATUREHUB_LOCAL_DIR"]) / "postgres")
    copy = f"\\copy staged_label (customer_id, moment, churned) from '{labels}' (format csv, header)"
    views = views_by_name(NAMES, versions=())
    join = join_sql(views, keys=["position"], limited=(), known_at=None).as_string()
    commands = [part for command in (STAGE, copy, join) for part in ("-c", command)]
    with spent() as cost, (folder / "floor.csv").open("wb") as out:
        psql = [*server._binary("psql"), server.url, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        subprocess.run([*psql, *commands], check=True, stdout=out)
    return cost
