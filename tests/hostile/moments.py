"""A hook of Schemathesis: moments are in the past, after 1970."""

from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies as st

moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
schemathesis.openapi.format("date-time", moments.map(lambda moment: moment.isoformat().replace("+00:00", "Z")))
