"""Convert the lines of a file of JSON Lines to events."""

from collections.abc import Sequence

import msgspec

from events.validation import NewEvent, encode_metadata, keys_of_fields
from featurehub.lib.same_keys import fewest_keys


class EventLines:
    """The lines of a file: each is an event as clients post it."""

    type = NewEvent

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(NewEvent)

    def decode(self, line: bytes, /) -> NewEvent:
        """Return the event of a line."""
        return self._decoder.decode(line)

    def fewest_keys(self, events: Sequence[NewEvent], /) -> int:
        """Return a number that is not more than the keys in the lines of these events."""
        metadata = [event.metadata for event in events if event.metadata]
        return keys_of_fields(events) + len(metadata) + fewest_keys(encode_metadata(metadata))
