"""Suggestions for somebody who defines a feature: what the newest events hold."""

from dataclasses import dataclass

from django.db import connection

EVENTS_READ = 2_000
MOST_OF_EACH = 100

SUGGESTIONS = """
with newest as (select category, metadata from events_event order by "timestamp" desc limit %(events)s),
keys as (
    select key from newest, jsonb_object_keys(metadata) key group by key order by count(*) desc, key limit %(most)s
),
categories as (
    select category from newest where category <> '' group by category order by count(*) desc, category limit %(most)s
)
select array(select key from keys), array(select category from categories)
"""


@dataclass(frozen=True, slots=True)
class EventSuggestions:
    """Metadata keys and categories, the most frequent ones first."""

    metadata_keys: list[str]
    categories: list[str]


def event_suggestions() -> EventSuggestions:
    """Return the metadata keys and categories of the newest EVENTS_READ events. One query."""
    with connection.cursor() as cursor:
        cursor.execute(SUGGESTIONS, {"events": EVENTS_READ, "most": MOST_OF_EACH})
        return EventSuggestions(*cursor.fetchone())
