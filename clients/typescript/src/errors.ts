/** The errors that the client throws: FeatureHubErrors, and the reason of a caller's own abort. */

import type { components } from "./schema.js";

/** One thing that is wrong with a request: `code` for programs, `detail` for people, `attr` names the part. */
export type ErrorDetail = components["schemas"]["ErrorDetail"];

export class FeatureHubError extends Error {
  override readonly name: string = "FeatureHubError";
}

/** The server could not be reached, or the connection broke. A write may have been done. */
export class ConnectionFailedError extends FeatureHubError {
  override readonly name: string = "ConnectionFailedError";
}

/** The answer was not there within `timeoutMs`. A write may have been done. */
export class RequestTimeoutError extends FeatureHubError {
  override readonly name: string = "RequestTimeoutError";
}

/** An answer that is no success: its status and what the server says is wrong. */
export class ApiError extends FeatureHubError {
  override readonly name: string = "ApiError";

  constructor(
    readonly status: number,
    /** Empty where the answer did not come from FeatureHub. */
    readonly errors: readonly ErrorDetail[],
    /** What Retry-After asks for, in seconds. */
    readonly retryAfterSeconds: number | undefined = undefined,
    message: string = messageOf(status, errors),
  ) {
    super(message);
  }
}

/** 400, 405, 409, 413, 415: the request is wrong, and changed nothing. */
export class InvalidRequestError extends ApiError {
  override readonly name: string = "InvalidRequestError";
}

/** 401: no API key, an unknown, expired or revoked one. */
export class AuthenticationError extends ApiError {
  override readonly name: string = "AuthenticationError";
}

/** 403: the API key lacks the scope. */
export class PermissionDeniedError extends ApiError {
  override readonly name: string = "PermissionDeniedError";
}

/** 404: what the request names does not exist. */
export class NotFoundError extends ApiError {
  override readonly name: string = "NotFoundError";
}

/** 429: more requests in this minute than the API key may make. */
export class RateLimitedError extends ApiError {
  override readonly name: string = "RateLimitedError";
}

/** 500 and above: FeatureHub, or a part that it needs, is down. A write may have been done. */
export class UnavailableError extends ApiError {
  override readonly name: string = "UnavailableError";
}

/** Return the error that an answer stands for; its body is read. */
export async function errorOfResponse(response: Response): Promise<ApiError> {
  const { status } = response;
  // A browser hides the status of a redirect: it is 0 there.
  if (status < 400) {
    await response.body?.cancel();
    const target = response.headers.get("Location") ?? "another address";
    return new ApiError(status, [], undefined, `The server redirects to ${target}: is the url the one of FeatureHub?`);
  }
  const kind = status >= 500 ? UnavailableError : (BY_STATUS[status] ?? InvalidRequestError);
  return new kind(status, detailsOf(await response.text()), secondsOf(response.headers.get("Retry-After")));
}

const BY_STATUS: Readonly<Record<number, typeof ApiError>> = {
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  429: RateLimitedError,
};

/** Return the seconds that a Retry-After asks for, given in seconds or as a date; undefined for none. */
function secondsOf(retryAfter: string | null, now: number = Date.now()): number | undefined {
  if (retryAfter === null) return undefined;
  const seconds = /^\d+$/.test(retryAfter.trim()) ? Number(retryAfter) : (Date.parse(retryAfter) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function detailsOf(body: string): readonly ErrorDetail[] {
  try {
    const parsed: unknown = JSON.parse(body);
    const errors = (parsed as { errors?: unknown } | null)?.errors;
    return Array.isArray(errors) ? (errors as ErrorDetail[]) : [];
  } catch {
    return []; // the page of a proxy
  }
}

function messageOf(status: number, errors: readonly ErrorDetail[]): string {
  const sentences = errors.map(({ attr, detail }) => (attr ? `${attr}: ${detail}` : detail));
  return sentences.length > 0 ? `${status}: ${sentences.join(" ")}` : `The server answered with status ${status}.`;
}
