"""Windows in days become windows in hours, also those that programs of an earlier version go on writing."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

INSERT = """
insert into features_featuredefinition (name, feature_type, description, owner, unit, "default", tags, kind, event_type,
    metadata_key, expression, {column}) values (%s, 'behavioral', '', '', '', 0, '[]', 'count', '', '', '', %s)
"""
BY_HOURS = "_window_hours"


def migrate_to(name: tuple[str, str]) -> None:
    MigrationExecutor(connection).migrate([name])


def execute(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def windows() -> dict[str, tuple[int, int]]:
    rows = execute("select name, window_days, window_hours from features_featuredefinition where kind <> ''")
    return {name: (days, hours) for name, days, hours in rows}


@pytest.fixture
def windows_in_days(db: None) -> None:
    """Give the test the database as it was before windows had hours, with a window of 7 days past draft."""
    graph = MigrationExecutor(connection).loader.graph
    (first,) = (node for node in graph.nodes if node[0] == "features" and node[1].endswith(BY_HOURS))
    (before,) = (parent.key for parent in graph.node_map[first].parents if parent.key[0] == "features")
    migrate_to(before)
    execute(INSERT.format(column="window_days"), "logins_7d", 7)
    execute("""insert into features_featureversion_definitions (featureversion_id, featuredefinition_id)
        select version.id, definition.id from features_featureversion version, features_featuredefinition definition
        where version.feature_type = 'customer' and version.number = '1.0' and definition.name = 'logins_7d'""")


def test_definitions_keep_their_windows(windows_in_days: None) -> None:
    migrate_to(newest())
    assert windows() == {"logins_7d": (7, 168)}
    with pytest.raises(DatabaseError, match="what it means does not change"), transaction.atomic():
        execute("update features_featuredefinition set window_hours = 167 where name = 'logins_7d'")


def test_what_an_earlier_program_writes_has_hours_and_what_this_one_writes_has_days(windows_in_days: None) -> None:
    migrate_to(newest())
    execute(INSERT.format(column="window_days"), "old", 2)
    execute(INSERT.format(column="window_hours"), "new", 25)
    assert windows() == {"logins_7d": (7, 168), "old": (2, 48), "new": (2, 25)}
    execute("update features_featuredefinition set window_days = 3 where name in ('old', 'new')")
    execute("update features_featuredefinition set owner = 'Team'")
    assert windows() == {"logins_7d": (7, 168), "old": (3, 72), "new": (3, 72)}
    execute("update features_featuredefinition set window_hours = 1 where name = 'old'")
    assert windows()["old"] == (1, 1)
    with pytest.raises(DatabaseError, match="what it means does not change"), transaction.atomic():
        execute("update features_featuredefinition set window_days = 6 where name = 'logins_7d'")


@pytest.mark.parametrize("hours", [0, 90 * 24 + 1])
def test_no_program_writes_a_window_that_is_not_allowed(db: None, hours: int) -> None:
    with pytest.raises(DatabaseError, match="definition_window_is_behavioral"), transaction.atomic():
        execute(INSERT.format(column="window_hours"), "wrong", hours)


def newest() -> tuple[str, str]:
    (leaf,) = MigrationExecutor(connection).loader.graph.leaf_nodes("features")
    return leaf
