"""requirements.lock has what requirements.txt asks for and what that brings along, each at one version and by hash."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s;\\]+)", re.MULTILINE)


def pins_of(name: str) -> dict[str, str]:
    """Return the versions of a file of requirements, by the package's normalised name."""
    found = PIN.findall((PROJECT / name).read_text())
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_the_lock_has_every_requirement_at_the_version_of_the_constraints() -> None:
    lock, wanted, constraints = pins_of("requirements.lock"), pins_of("requirements.txt"), pins_of("constraints.txt")
    assert wanted.items() <= lock.items(), "requirements.txt has changed: run make lock"
    assert lock.items() <= constraints.items(), "constraints.txt has changed: run make lock"


def test_every_package_of_the_lock_has_a_hash() -> None:
    text = (PROJECT / "requirements.lock").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins_of("requirements.lock"))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_names_no_place_to_install_from() -> None:
    assert "://" not in (PROJECT / "requirements.lock").read_text()
