"""Export events as Parquet: for Spark, for training, and for use outside FeatureHub."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from django.db import connection

from events.models import Event
from featurehub.lib.arrow_csv import MOMENT_TYPE, TEXT_TYPE
from featurehub.lib.errors import InvalidError
from featurehub.lib.parquet import export

MANIFEST = "_exported.json"
EVENT_COLUMNS = {
    "event_id": TEXT_TYPE,
    "customer_id": TEXT_TYPE,
    "event_type": TEXT_TYPE,
    "timestamp": MOMENT_TYPE,
    "session_id": TEXT_TYPE,
    "amount": pa.float64(),
    "category": TEXT_TYPE,
    "metadata": TEXT_TYPE,
    "received_at": MOMENT_TYPE,
}
SELECT_EVENTS = """
select event_id, customer_id, event_type, "timestamp", session_id, amount::float8, category, metadata, received_at,
    "timestamp"::date
from events_event
"""


def export_events(
    to: Path, *, since: datetime | None = None, progress: Callable[[int], object] = lambda rows: None
) -> int:
    """Write the events from `since` on to `to`/date=YYYY-MM-DD/, and return how many.

    The manifest says up to which moment the export is complete. It may hold later events, but not all of them. It is
    written last: a folder that an earlier export was in has none while this one replaces its files.
    """
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        complete_until: datetime = cursor.fetchone()[0]
    to.mkdir(parents=True, exist_ok=True)
    manifest, aside = to / MANIFEST, to / f"{MANIFEST}.new"
    manifest.unlink(missing_ok=True)
    where = "" if since is None else f"where \"timestamp\" >= '{since.isoformat()}'"
    rows = export(SELECT_EVENTS + where, columns=EVENT_COLUMNS, to=to, progress=progress)
    aside.write_text(json.dumps({"events": rows, "complete_until": complete_until.isoformat()}))
    aside.replace(manifest)
    return rows


def complete_until(exported: Path) -> datetime:
    """Return the moment up to which an export holds all events.

    Raises InvalidError if the folder is not an export.
    """
    path = exported / MANIFEST
    try:
        return datetime.fromisoformat(json.loads(path.read_text())["complete_until"])
    except OSError as error:
        reason = f"{path} can't be read ({error.strerror})"
    except (ValueError, KeyError):
        reason = f"{path} does not say until when the events are complete"
    raise InvalidError(f"{exported} is not an export of export_events: {reason}.", attr="events")


def count_events() -> int:
    """Return the number of stored events, exactly."""
    return Event.objects.count()
