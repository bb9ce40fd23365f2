/** Sends requests: with the API key, within a time limit, and again where that helps. */

import { ApiError, ConnectionFailedError, errorOfResponse, FeatureHubError, RequestTimeoutError } from "./errors.js";

/** The first wait before a request is sent again, in milliseconds; it doubles from try to try. */
const FIRST_WAIT = 100;
const LONGEST_BACKOFF = 5_000;
/** 429 and 503 say that nothing is wrong with the request; 502 and 504 come from the front and from proxies. */
const WORTH_ANOTHER_TRY = new Set([429, 502, 503, 504]);

export interface ClientOptions {
  /** Address of the server, such as `https://features.example.com`. */
  url: string | URL;
  apiKey: string;
  /** Longest wait for one answer, in milliseconds; 5,000 if it is left out. */
  timeoutMs?: number;
  /** How often a request is sent again; 3 if it is left out. */
  retries?: number;
  /** Longest wait before a request is sent again, in milliseconds; a Retry-After above it is not waited for. */
  longestWaitMs?: number;
  /** What sends requests: the global `fetch` if it is left out. */
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  /** Ends the call, whatever it is doing. The call throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface ApiRequest {
  method: "GET" | "POST" | "PATCH";
  /** Below `/api/v1/`, each part percent-encoded. */
  path: string;
  query?: Readonly<Record<string, string | readonly string[] | number | undefined>>;
  body?: unknown;
}

export class Transport {
  private readonly base: URL;
  private readonly apiKey: string;
  private readonly timeoutMs: number;
  private readonly retries: number;
  private readonly longestWaitMs: number;
  private readonly fetch: typeof globalThis.fetch;

  constructor(options: ClientOptions) {
    this.base = new URL("api/v1/", withSlash(options.url));
    this.apiKey = options.apiKey;
    this.timeoutMs = options.timeoutMs ?? 5_000;
    this.retries = options.retries ?? 3;
    this.longestWaitMs = options.longestWaitMs ?? 10_000;
    // Browsers refuse a fetch that is called as a method of another object.
    this.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** Return the body of the answer, parsed. Sends the request again after 429, 502, 503, 504 and broken connections. */
  async send<Answer>(request: ApiRequest, { signal }: CallOptions = {}): Promise<Answer> {
    for (let tries = 0; ; tries++) {
      signal?.throwIfAborted();
      try {
        return (await this.attempt(request, signal)) as Answer;
      } catch (error) {
        const wait = tries < this.retries ? waitAfter(error, tries) : undefined;
        if (wait === undefined || wait > this.longestWaitMs) throw error;
        await sleep(wait, signal);
      }
    }
  }

  private async attempt(request: ApiRequest, signal: AbortSignal | undefined): Promise<unknown> {
    const limit = AbortSignal.timeout(this.timeoutMs);
    try {
      // The limit is for the header and the body of the answer together.
      const response = await this.fetch(addressOf(this.base, request), {
        ...this.initOf(request),
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
      if (!response.ok) throw await errorOfResponse(response);
      return await response.json();
    } catch (error) {
      if (error instanceof FeatureHubError) throw error;
      signal?.throwIfAborted();
      throw limit.aborted
        ? new RequestTimeoutError(`There was no answer within ${this.timeoutMs} ms.`, { cause: error })
        : new ConnectionFailedError(`The server could not be asked: ${reasonOf(error)}`, { cause: error });
    }
  }

  private initOf({ method, body }: ApiRequest): RequestInit {
    const headers: Record<string, string> = { Accept: "application/json", Authorization: `Bearer ${this.apiKey}` };
    // A redirect would turn a write into a read, and would be followed to whatever address it names.
    const init: RequestInit = { method, headers, redirect: "manual" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    return init;
  }
}

/** Return the milliseconds to wait before the next try, or undefined if the request is not sent again.
 *
 * Waits are drawn from [0, 100 · 2^tries] ms ("full jitter"), on top of what Retry-After asks for, so that clients that
 * failed together do not come back together.
 */
export function waitAfter(error: unknown, tries: number, random: () => number = Math.random): number | undefined {
  const backoff = random() * Math.min(FIRST_WAIT * 2 ** tries, LONGEST_BACKOFF);
  if (error instanceof ApiError) {
    return WORTH_ANOTHER_TRY.has(error.status) ? (error.retryAfterSeconds ?? 0) * 1000 + backoff : undefined;
  }
  return error instanceof ConnectionFailedError || error instanceof RequestTimeoutError ? backoff : undefined;
}

function addressOf(base: URL, { path, query = {} }: ApiRequest): URL {
  const address = new URL(path, base);
  for (const [name, given] of Object.entries(query)) {
    if (given === undefined) continue;
    for (const value of Array.isArray(given) ? given : [given]) address.searchParams.append(name, String(value));
  }
  return address;
}

function withSlash(url: string | URL): URL {
  const address = new URL(url);
  if (!address.pathname.endsWith("/")) address.pathname += "/";
  return address;
}

function reasonOf(error: unknown): string {
  // Node's fetch says "fetch failed", and why in the cause.
  const { cause } = error as { cause?: unknown };
  return String(cause instanceof Error && cause.message !== "" ? cause.message : error);
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
  });
}
