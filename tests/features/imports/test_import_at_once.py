"""import_features in two sessions, and beside other writers of the same customers."""

import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from features.imports import value_files, writing
from features.materialization.client_values import set_customer_features
from features.materialization.erasure import erase_customer
from features.materialization.locks import register_customers
from features.models import CustomerFeature
from tests.at_once import at_once
from tests.factories import rows_of
from tests.import_files import rejected

CUSTOMERS = 3_000


@pytest.fixture
def two_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a file of any size in two sessions, some customers a transaction."""
    monkeypatch.setattr(value_files, "ROWS_FOR_TWO_SESSIONS", 1)
    monkeypatch.setattr(writing, "CUSTOMERS_PER_TRANSACTION", 100)


def file_of(folder: Path, *, name: str, feature: str) -> Path:
    """Write a file in which the value of a customer is the customer's number."""
    path = folder / name
    path.write_text(f"customer_id,{feature}\n" + "".join(f"c{number},{number}\n" for number in range(CUSTOMERS)))
    return path


def run_import(path: Path) -> None:
    call_command("import_features", str(path), type="customer")


def held(customer_id: str) -> dict[str, float]:
    """Return the newest values of a customer."""
    values: dict[str, float] = rows_of(customer_id, "customer")[-1].features
    return values


def test_an_import_and_single_writes_at_once_lose_no_value(tmp_path: Path, two_sessions: None, committed: None) -> None:
    path = file_of(tmp_path, name="values.csv", feature="tenure_days")

    def write(first: int) -> None:
        for number in range(first, CUSTOMERS, 600):
            set_customer_features(
                f"c{number}", feature_type="customer", version="1.0", features={"loyalty_tier": float(number)}
            )

    at_once(lambda: run_import(path), lambda: write(0), lambda: write(300))
    for number in range(0, CUSTOMERS, 300):
        assert held(f"c{number}") == {"tenure_days": float(number), "loyalty_tier": float(number)}


def test_two_imports_at_once_lose_no_value(tmp_path: Path, two_sessions: None, committed: None) -> None:
    paths = [
        file_of(tmp_path, name="days.csv", feature="tenure_days"),
        file_of(tmp_path, name="tiers.csv", feature="loyalty_tier"),
    ]
    # To insert the same customers, the second import would wait for the first one anyway.
    register_customers([f"c{number}" for number in range(CUSTOMERS)])
    at_once(*(lambda path=path: run_import(path) for path in paths))
    newest = dict(CustomerFeature.objects.order_by("timestamp", "id").values_list("customer_id", "features"))
    assert newest == {
        f"c{number}": {"tenure_days": float(number), "loyalty_tier": float(number)} for number in range(CUSTOMERS)
    }


def test_each_session_has_all_rows_of_its_customers(tmp_path: Path, two_sessions: None, committed: None) -> None:
    path = tmp_path / "values.csv"
    days = range(1, 4)
    lines = [f"c{number},2026-01-0{day}T00:00:00Z,{day}\n" for day in reversed(days) for number in range(200)]
    path.write_text("customer_id,timestamp,tenure_days\n" + "".join(lines))
    erase_customer("c7")
    with pytest.raises(CommandError):
        run_import(path)
    assert [line["row"] for line in rejected(path)] == [8, 208, 408]
    for number in {*range(200)} - {7}:
        rows = rows_of(f"c{number}", "customer")
        assert [(row.timestamp.day, row.features) for row in rows] == [(day, {"tenure_days": day}) for day in days]
    assert not rows_of("c7", "customer")


def test_an_import_whose_second_session_is_killed_can_be_run_again(
    tmp_path: Path, two_sessions: None, committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(tmp_path, name="values.csv", feature="tenure_days")
    write_customers = writing.write_customers

    def killed(*arguments: object, **options: object) -> tuple[int, set[str]]:
        if threading.current_thread() is not threading.main_thread():
            with connection.cursor() as cursor:
                cursor.execute("select pg_terminate_backend(pg_backend_pid())")
        return write_customers(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_customers", killed)
        with pytest.raises(CommandError, match=r"^PostgreSQL can't be reached: .*Run the same command again") as caught:
            run_import(path)
    assert caught.value.returncode == 2
    assert CustomerFeature.objects.count() < CUSTOMERS
    run_import(path)
    assert CustomerFeature.objects.count() == CUSTOMERS
