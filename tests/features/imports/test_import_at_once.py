"""import_features beside other writers of the same customers."""

from pathlib import Path

from django.core.management import call_command

from features.materialization.client_values import set_customer_features
from tests.at_once import at_once
from tests.factories import rows_of


def test_an_import_and_single_writes_at_once_lose_no_value(tmp_path: Path, committed: None) -> None:
    path = tmp_path / "values.csv"
    path.write_text("customer_id,tenure_days\n" + "".join(f"c{number},{number}\n" for number in range(3_000)))

    def write(first: int) -> None:
        for number in range(first, 3_000, 600):
            set_customer_features(
                f"c{number}", feature_type="customer", version="1.0", features={"loyalty_tier": float(number)}
            )

    at_once(lambda: call_command("import_features", str(path), type="customer"), lambda: write(0), lambda: write(300))
    for number in range(0, 3_000, 300):
        assert rows_of(f"c{number}", "customer")[-1].features == {
            "tenure_days": float(number),
            "loyalty_tier": float(number),
        }
