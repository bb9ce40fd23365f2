"""A request to the fake server, and what it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import httpx

from featurehub_client.testing.bodies import check_customer_id
from featurehub_client.testing.refusals import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, and the parts of its path."""

    request: httpx.Request
    parts: Mapping[str, str]

    @property
    def customer_id(self) -> str:
        """The customer in the path. Raise Refused for an id that is not valid."""
        check_customer_id(self.parts["customer_id"])
        return self.parts["customer_id"]

    def parameter(self, name: str) -> str | None:
        """Return a query parameter, None where it is absent."""
        text: str | None = self.request.url.params.get(name)
        return text

    def moment(self, name: str) -> datetime | None:
        """Return a query parameter as a moment. Raise Refused where it is none."""
        text = self.parameter(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Refused("It must be a moment in ISO 8601 with an offset, such as 2026-01-31T12:00:00Z.", attr=name)
        return moment

    def page_at(self, cursor: str | None) -> str | None:
        """Return the address of another page."""
        return None if cursor is None else str(self.request.url.copy_set_param("cursor", cursor))
