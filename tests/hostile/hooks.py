"""Hooks of Schemathesis: moments are in the past, and requests of the stateful phase can be accepted.

Nearly no generated body names a registered event type or feature, so that the answers that links begin at would nearly
all be refusals. The other phases send what the schema allows. What is negative stays as it was generated.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from schemathesis.generation.meta import TestPhase

FIRST, LAST = datetime(1970, 1, 2), datetime(2026, 1, 1)  # noqa: DTZ001 - in UTC by `timezones`
NOW = datetime.now(UTC)
EVENT_TYPES = ("page_view", "email_open", "email_click", "form_submit", "purchase", "login")
NAMES = ("engagement_score", "recency_score", "purchase_amount_30d", "rfm_score", "cart_value")
# There is a set of this name already, with these features.
MADE_SET = "linked_model"
# The first of them has values.
CUSTOMERS = [f"linked-{number}" for number in range(5)]
# Names of features, such as a link has from an answer. Generated ones are nearly never like that.
A_NAME = re.compile("[a-z][a-z0-9_]{5,}")
# Ids of weight sets, likewise.
MOST_WEIGHT_SETS = 1_000


def as_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


schemathesis.openapi.format("date-time", st.datetimes(FIRST, LAST, timezones=st.just(UTC)).map(as_text))

customer_ids = st.sampled_from(CUSTOMERS)
events = st.fixed_dictionaries(
    {
        "customer_id": customer_ids,
        "event_type": st.sampled_from(EVENT_TYPES),
        "timestamp": st.integers(1, 60 * 24 * 20).map(lambda minutes: as_text(NOW - timedelta(minutes=minutes))),
    },
    optional={"metadata": st.fixed_dictionaries({"amount": st.floats(0, 1e6)})},
)
ACCEPTED_BODIES: dict[str, st.SearchStrategy[Any]] = {
    "POST /api/v1/events/": st.fixed_dictionaries({"events": st.lists(events, min_size=1, max_size=5)}),
    "PATCH /api/v1/customers/{customer_id}/features/": st.fixed_dictionaries(
        {
            "feature_type": st.just("contextual"),
            "version": st.just("1.0"),
            "features": st.fixed_dictionaries({"cart_value": st.floats(0, 1e6)}),
        }
    ),
    "POST /api/v1/feature-sets/": st.one_of(
        st.just({"name": MADE_SET, "names": list(NAMES)}),
        st.fixed_dictionaries(
            {"name": st.just("linked_report"), "names": st.lists(st.sampled_from(NAMES), min_size=1, unique=True)}
        ),
    ),
}


@schemathesis.hook
def flatmap_case(context: HookContext, case: Case) -> st.SearchStrategy[Case]:
    """Let a case of the stateful phase ask for, and send, what there is; what a link has given stays."""
    meta = case.meta
    if meta is None or meta.phase.name != TestPhase.STATEFUL or not meta.generation.mode.is_positive:
        return st.just(case)
    return st.builds(
        acceptable,
        st.just(case),
        body=ACCEPTED_BODIES.get(case.operation.label, st.none()),
        name=st.sampled_from(NAMES),
    )


def acceptable(case: Case, *, body: Any, name: str) -> Case:
    """Return the case with this body, if there is one, with this name unless it has one, and without wrong queries."""
    if body is not None:
        case.body = body
    if "name" in case.path_parameters and not A_NAME.fullmatch(str(case.path_parameters["name"])):
        case.path_parameters = {**case.path_parameters, "name": name}
    is_from_link = {
        "set": str(case.query.get("set", "")).startswith(MADE_SET),
        "weights": str(case.query.get("weights", "")).isdecimal() and int(case.query["weights"]) < MOST_WEIGHT_SETS,
    }
    is_wrong = {
        "names",
        "version",
        "cursor",
        "where",
        "order",
        *(name for name, is_right in is_from_link.items() if not is_right),
    }
    case.query = {name: value for name, value in case.query.items() if name not in is_wrong}
    return case


@schemathesis.hook
def before_call(context: HookContext, case: Case, **_: Any) -> None:
    """Erase nobody whom links lead to: nothing would be taken of them any more."""
    if case.method.upper() == "DELETE" and case.path_parameters.get("customer_id") in CUSTOMERS:
        case.path_parameters["customer_id"] = "erased"
