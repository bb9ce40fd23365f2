"""Endpoints of one customer: /api/v1/customers/{id}/…."""

from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar, cast

import msgspec
from django.http import QueryDict
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.utils.urls import replace_query_param

from events.validation import ID_PATTERN, LONGEST_ID, check_customer_id, check_metadata, check_timestamp
from featurehub.access.models import Scope
from featurehub.http.openapi import json_answer, json_request
from featurehub.http.requests import ApiRequest
from featurehub.http.responses import ApiResponse, json_response
from featurehub.http.view import ApiView, body_as
from featurehub.lib.clock import in_utc, parse_moment
from featurehub.lib.errors import InvalidError
from features.api import examples
from features.api.answers import Explanation, FeatureValues, FeatureVector, HistoryPage, HistoryRow, WrittenFeatures
from features.api.bodies import FEATURE_NAME_SCHEMA, NAMES_PER_BATCH, NUMBER_PATTERN, SET_PATTERN, FeaturesPatch
from features.materialization.client_values import set_customer_features
from features.offline.history import history_of
from features.offline.pages import CURSOR_PATTERN, MOST_ROWS_PER_PAGE, ROWS_PER_PAGE, Cursor, parse_limit, read_page
from features.registry.feature_sets import Selection
from features.serving.explanation import explain
from features.serving.feature_store import get_feature_vector, values_as_json
from features.serving.usage import note_read, note_write

patch_decoder = msgspec.json.Decoder(FeaturesPatch)
# A number with fewer digits fits PostgreSQL's bigint.
DIGITS_OF_AN_ID = 19
CUSTOMER_ID = OpenApiParameter(
    "customer_id", {"type": "string", "maxLength": LONGEST_ID, "pattern": ID_PATTERN}, OpenApiParameter.PATH,
    description="The id of a customer, percent-encoded.",
    examples=[OpenApiExample("a customer", "c1")],
)  # fmt: skip
NAME = OpenApiParameter(
    "name", {"type": "string", **FEATURE_NAME_SCHEMA},
    OpenApiParameter.PATH, description="The name of a feature.",
    examples=[OpenApiExample("a feature", "engagement_score")],
)  # fmt: skip
LIMIT = OpenApiParameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS_PER_PAGE, "default": ROWS_PER_PAGE},
    description="The most rows of a page.",
)  # fmt: skip
CURSOR = OpenApiParameter(
    "cursor", {"type": "string", "pattern": f"^{CURSOR_PATTERN}$"}, description="As `next` and `previous` have it."
)
SINCE_MOMENT = OpenApiParameter("since", datetime, description="Only rows that hold from this moment on, or later.")
UNTIL_MOMENT = OpenApiParameter("until", datetime, description="Only rows that hold from before this moment on.")
WEIGHT_SET = OpenApiParameter(
    "weights", {"type": "integer", "minimum": 0, "exclusiveMaximum": 10 ** (DIGITS_OF_AN_ID - 1)},
    description="The id of a weight set, such as a draft; the active one if it is left out.",
)  # fmt: skip
NAME_LIST = OpenApiParameter(
    "names",
    {"type": "string", "pattern": rf"^,*[^,]+(,+[^,]+){{0,{NAMES_PER_BATCH - 1}}},*$"},
    description=f"At most {NAMES_PER_BATCH} names, separated by commas; all of them if it is left out.",
    examples=[OpenApiExample("two features", "engagement_score,cart_value")],
)
PIN = {"type": "string", "pattern": f"^([a-z]+:)?{NUMBER_PATTERN}$"}
VERSION = OpenApiParameter(
    "version",
    {"type": "array", "items": PIN},
    description="A version to read, one per feature type: behavioral:1.0, or 1.0 for the same. The live ones if it is "
    "left out.",
)
VERSION_OF_HISTORY = OpenApiParameter(
    "version", PIN, description="1.0 or behavioral:1.0; the live one if it is left out."
)
FEATURE_SET = OpenApiParameter(
    "set",
    {"type": "string", "pattern": SET_PATTERN},
    description="A feature set, such as churn_model:3, in place of `names` and `version`.",
)


class FeaturesQuery(QueryDict):
    """The query string of a read: `names=a,b&version=behavioral:2.0`, or `set=churn_model:3`."""

    @cached_property
    def asked(self) -> Selection:
        """Raise InvalidError for `names` that are empty or more than NAMES_PER_BATCH."""
        text = self.get("names")
        names = None if text is None else tuple(name for name in text.split(",") if name)
        if names is not None and len(names) > NAMES_PER_BATCH:
            most = f"At most {NAMES_PER_BATCH} features can be named, not {len(names):,}"
            raise InvalidError(f"{most}; omit `names` to read all of them.", attr="names")
        if names == ():
            raise InvalidError("Name at least one feature, or omit `names` to read all of them.", attr="names")
        return Selection(names, tuple(self.getlist("version")), self.get("set"))


class CustomerView(ApiView):
    """The base of the endpoints of one customer, which checks the id in the path."""

    def admit(self, request: ApiRequest, *, method: str) -> None:
        super().admit(request, method=method)
        check_customer_id(self.kwargs["customer_id"])


class FeaturesView(CustomerView):
    """The values of one customer; PATCH writes those that clients own."""

    scopes = {"GET": Scope.READ, "PATCH": Scope.WRITE}
    parameters = {"GET": ("names", "version", "set")}
    repeated = ("version",)
    query_class = FeaturesQuery

    @extend_schema(
        operation_id="get_customer_features",
        summary="Read the values of a customer",
        tags=["Values"],
        parameters=[CUSTOMER_ID, NAME_LIST, VERSION, FEATURE_SET],
        responses={200: json_answer(FeatureValues, example=examples.VALUES_EXAMPLE, description="The values.")},
    )
    def get(self, request: ApiRequest, customer_id: str) -> ApiResponse:
        """Return the named values of a customer: of the live versions, of others, or of a feature set.

        A name without a value has its default and stands in `missing` with the reason. A customer who is not known has
        defaults, too.
        """
        asked = cast(FeaturesQuery, request.GET).asked
        return ApiResponse(values_as_json([customer_id], asked, key_id=self.client.key_id)[0])

    @extend_schema(
        operation_id="set_customer_features",
        summary="Write values of a customer",
        tags=["Values"],
        parameters=[CUSTOMER_ID],
        request=json_request(FeaturesPatch, example=examples.FEATURES_PATCH_EXAMPLE),
        responses={
            200: json_answer(WrittenFeatures, example=examples.WRITTEN_EXAMPLE, description="The values that hold.")
        },
    )
    def patch(self, request: ApiRequest, customer_id: str) -> ApiResponse:
        """Set the named values of a type that clients write, and keep the others.

        The values are merged over those that hold at `timestamp`. An earlier one corrects the history, and leaves newer
        values as they are.
        """
        body = body_as(patch_decoder, request, refuse_twice=True)
        timestamp = None if body.timestamp is None else in_utc(body.timestamp, attr="timestamp")
        if timestamp is not None:
            check_timestamp(timestamp, now=datetime.now(UTC))
        check_metadata(body.metadata or {})
        row = set_customer_features(
            customer_id,
            feature_type=body.feature_type,
            version=body.version,
            features=body.features,
            metadata=body.metadata,
            timestamp=timestamp,
        )
        note_write(self.client.key_id, {body.feature_type: body.version})
        return json_response(row)


class VectorView(CustomerView):
    """Every live value of one customer as a CustomerFeature."""

    scopes = {"GET": Scope.READ}

    @extend_schema(
        operation_id="get_feature_vector",
        summary="Read every live value of a customer",
        tags=["Values"],
        parameters=[CUSTOMER_ID],
        responses={200: json_answer(FeatureVector, example=examples.VECTOR_EXAMPLE, description="The vector.")},
    )
    def get(self, request: ApiRequest, customer_id: str) -> ApiResponse:
        """Return the values of all live versions as one object."""
        vector = get_feature_vector(customer_id)
        note_read(self.client.key_id, vector["versions"])
        return json_response(vector)


class ExplanationView(CustomerView):
    """The contribution of each event type to the engagement score, under the active or another weight set."""

    scopes = {"GET": Scope.READ}
    parameters = {"GET": ("weights",)}

    @extend_schema(
        operation_id="explain_score",
        summary="Explain the score of a customer",
        tags=["Scores"],
        parameters=[CUSTOMER_ID, WEIGHT_SET],
        responses={200: json_answer(Explanation, example=examples.EXPLANATION_EXAMPLE, description="The explanation.")},
    )
    def get(self, request: ApiRequest, customer_id: str) -> ApiResponse:
        """Return the contribution of each event type to the engagement score.

        With `weights`, return what the score would be under another weight set.
        """
        return json_response(explain(customer_id, weight_set_id=weight_set_of(request)))


def weight_set_of(request: ApiRequest) -> int | None:
    """Return the id in `?weights=`; None where the parameter is absent.

    Raises InvalidError for anything but an id.
    """
    text = request.GET.get("weights")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < DIGITS_OF_AN_ID):
        raise InvalidError("It must be the id of a weight set: a whole number.", attr="weights")
    return int(text)


class HistoryView(CustomerView):
    """The history rows with a value of the feature, newest first."""

    scopes: ClassVar = {"GET": Scope.READ}
    parameters: ClassVar = {"GET": ("limit", "cursor", "since", "until", "version")}

    @extend_schema(
        operation_id="get_feature_history",
        summary="Read the history of a feature",
        tags=["History and training"],
        parameters=[CUSTOMER_ID, NAME, LIMIT, CURSOR, SINCE_MOMENT, UNTIL_MOMENT, VERSION_OF_HISTORY],
        responses={
            200: json_answer(HistoryPage, example=examples.HISTORY_EXAMPLE, description="A page of the history.")
        },
    )
    def get(self, request: ApiRequest, customer_id: str, name: str) -> ApiResponse:
        """Return the rows of a customer's history that hold the feature, the newest first, page by page."""
        rows = history_of(
            customer_id,
            name=name,
            version=request.GET.get("version"),
            since=moment_parameter(request, "since"),
            until=moment_parameter(request, "until"),
        )
        cursor = request.GET.get("cursor")
        page = read_page(
            rows,
            limit=parse_limit(request.GET.get("limit")),
            cursor=None if cursor is None else Cursor.parse(cursor),
        )
        note_read(self.client.key_id, {row.feature_type: row.version for row in page.rows})
        results = msgspec.convert(page.rows, list[HistoryRow], from_attributes=True)
        return json_response(
            {"next": link(request, page.older), "previous": link(request, page.newer), "results": results}
        )


def link(request: ApiRequest, cursor: Cursor | None) -> str | None:
    """Return the request's URL with another cursor, None without a cursor."""
    return None if cursor is None else replace_query_param(request.django.build_absolute_uri(), "cursor", cursor)


def moment_parameter(request: ApiRequest, name: str) -> datetime | None:
    """Return a query parameter as a moment in UTC; None where it is absent.

    Raises InvalidError where it is not a moment.
    """
    text = request.GET.get(name)
    return None if text is None else parse_moment(text, attr=name)
