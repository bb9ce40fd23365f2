// Against a server of this process that fails in ways that a healthy FeatureHub does not.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, beforeEach, test } from "node:test";

import {
  ConnectionFailedError,
  FeatureHubClient,
  RateLimitedError,
  RequestTimeoutError,
  UnavailableError,
} from "featurehub-client";

const VALUES = {
  ...{ customer_id: "c1", versions: {}, features: { a: 1 }, missing: {} },
  ...{ computed_at: null, age_seconds: null, source: "cache" },
};
/** What the next requests get, one after the other; then VALUES. */
let answers = [];
let requests = [];

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  requests.push({ method: request.method, at: performance.now(), body: Buffer.concat(chunks).toString() });
  const { status = 200, headers = {}, body = JSON.stringify(VALUES), breaks = false, late = 0 } = answers.shift() ?? {};
  if (breaks) return void request.socket.destroy();
  if (late > 0) await new Promise((resolve) => setTimeout(resolve, late));
  response.writeHead(status, headers).end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/`;
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  answers = [];
  requests = [];
});
const client = (options = {}) => new FeatureHubClient({ url, apiKey: "fh_key", ...options });
const refusal = (code) => JSON.stringify({ type: "server_error", errors: [{ code, detail: "Later.", attr: null }] });

test("a read is sent again after a broken connection and after 502, 503 and 504", async () => {
  answers = [{ breaks: true }, { status: 503, body: refusal("unavailable") }, { status: 502, body: "<html>" }];
  assert.deepEqual((await client().getCustomerFeatures("c1", ["a"])).features, { a: 1 });
  assert.equal(requests.length, 4);
});

test("a Retry-After is waited for", async () => {
  answers = [{ status: 429, headers: { "Retry-After": "1" } }];
  await client().getCustomerFeatures("c1", ["a"]);
  assert.ok(requests[1].at - requests[0].at >= 990);
});

test("a Retry-After that is longer than the longest wait ends the call at once", async () => {
  answers = [{ status: 429, headers: { "Retry-After": "60" }, body: refusal("throttled") }];
  await assert.rejects(client().getCustomerFeatures("c1", ["a"]), (error) => {
    assert.ok(error instanceof RateLimitedError);
    assert.equal(error.retryAfterSeconds, 60);
    assert.equal(error.message, "429: Later.");
    return true;
  });
  assert.equal(requests.length, 1);
});

test("a Retry-After can be a date", async () => {
  answers = [{ status: 503, headers: { "Retry-After": new Date(Date.now() + 60_000).toUTCString() } }];
  await assert.rejects(client().getCustomerFeatures("c1", ["a"]), (error) => {
    assert.ok(error.retryAfterSeconds > 50 && error.retryAfterSeconds <= 60);
    return true;
  });
});

test("tries end, and the last answer is the error", async () => {
  answers = Array.from({ length: 9 }, () => ({ status: 503, body: refusal("unavailable") }));
  await assert.rejects(client({ retries: 2 }).getFeatureVector("c1"), UnavailableError);
  assert.equal(requests.length, 3);
});

test("what another try can't change is not sent again", async () => {
  answers = [{ status: 500 }];
  await assert.rejects(client().getFeatureVector("c1"), UnavailableError);
  answers = [{ status: 302, headers: { Location: "https://elsewhere.example.com/" } }];
  await assert.rejects(client().getFeatureVector("c1"), /redirects to https:\/\/elsewhere\.example\.com\//);
  assert.equal(requests.length, 2);
});

test("events that are sent again are the same events", async () => {
  const stored = JSON.stringify({ accepted: 1, duplicates: 0 });
  answers = [{ breaks: true }, { status: 201, body: stored }];
  await client().storeEvents([{ customerId: "c1", eventType: "login" }]);
  assert.equal(requests.length, 2);
  assert.equal(requests[0].body, requests[1].body);
  const [event] = JSON.parse(requests[0].body).events;
  assert.match(event.event_id, /^[0-9a-f-]{36}$/);
});

test("an answer that is late is a timeout, its body included", async () => {
  answers = [{ late: 2_000 }];
  const began = performance.now();
  await assert.rejects(client({ timeoutMs: 100, retries: 0 }).getFeatureVector("c1"), RequestTimeoutError);
  assert.ok(performance.now() - began < 1_500);
});

test("a caller's signal ends a call while it waits", async () => {
  answers = [{ status: 503, headers: { "Retry-After": "5" } }];
  const began = performance.now();
  const call = client().getCustomerFeatures("c1", ["a"], { signal: AbortSignal.timeout(200) });
  await assert.rejects(call, { name: "TimeoutError" });
  assert.ok(performance.now() - began < 2_000);
});

test("a server that is not there is a connection that failed", async () => {
  const nobody = new FeatureHubClient({ url: "http://127.0.0.1:9/", apiKey: "fh_key", retries: 1 });
  await assert.rejects(nobody.getFeatureVector("c1"), ConnectionFailedError);
});
