/** A client of FeatureHub: https and JSON by `fetch`, nothing else. */

export { FeatureHubClient, type FeatureStore, type ReadOptions } from "./client.js";
export {
  ApiError,
  AuthenticationError,
  ConnectionFailedError,
  FeatureHubError,
  InvalidRequestError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitedError,
  RequestTimeoutError,
  UnavailableError,
  type ErrorDetail,
} from "./errors.js";
export type {
  CustomerFeature,
  FeaturesToSet,
  FeatureValues,
  FeatureVector,
  NewEvent,
  RecordedFeature,
  StoredEvents,
} from "./features.js";
export type { components, operations, paths } from "./schema.js";
export type { CallOptions, ClientOptions } from "./transport.js";
