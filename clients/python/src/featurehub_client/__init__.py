"""The Python client of FeatureHub: `FeatureHub` for code that blocks, `AsyncFeatureHub` for asyncio."""

from featurehub_client.async_client import AsyncFeatureHub
from featurehub_client.client import FeatureHub
from featurehub_client.errors import (
    ApiError,
    AuthenticationError,
    BufferFullError,
    ConflictError,
    FeatureHubError,
    InvalidRequestError,
    NoAnswerError,
    NotFoundError,
    PermissionDeniedError,
    Problem,
    RateLimitedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from featurehub_client.event_buffer import Buffering, EventCounts, Loss, LossReason, WhenFull
from featurehub_client.frames import to_arrow, to_pandas, to_polars
from featurehub_client.models import FeatureValues
from featurehub_client.retries import Retries
from featurehub_client.sent import Entity, NewEvent, PatchedRow, WeightChange
from featurehub_client.version import __version__

__all__ = [
    "ApiError",
    "AsyncFeatureHub",
    "AuthenticationError",
    "BufferFullError",
    "Buffering",
    "ConflictError",
    "Entity",
    "EventCounts",
    "FeatureHub",
    "FeatureHubError",
    "FeatureValues",
    "InvalidRequestError",
    "Loss",
    "LossReason",
    "NewEvent",
    "NoAnswerError",
    "NotFoundError",
    "PatchedRow",
    "PermissionDeniedError",
    "Problem",
    "RateLimitedError",
    "Retries",
    "UnavailableError",
    "UnexpectedAnswerError",
    "WeightChange",
    "WhenFull",
    "__version__",
    "to_arrow",
    "to_pandas",
    "to_polars",
]
