// Against the running FeatureHub that FEATUREHUB_URL and FEATUREHUB_API_KEY name.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import {
  AuthenticationError,
  FeatureHubClient,
  FeatureHubError,
  InvalidRequestError,
  NotFoundError,
} from "featurehub-client";

const { FEATUREHUB_URL: url, FEATUREHUB_API_KEY: apiKey } = process.env;
const store = new FeatureHubClient({ url, apiKey });
const someone = () => `ts-${randomUUID()}`;
const MICROSECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

test("names and numbers are set in the live version of their type, and read again", async () => {
  const customer = someone();
  const written = await store.setCustomerFeatures(customer, { cart_value: 49.9, items_in_cart: 2 });
  assert.equal(written.customerId, customer);
  assert.equal(written.featureType, "contextual");
  assert.equal(written.version, "1.0");
  assert.match(written.timestamp, MICROSECONDS);
  assert.deepEqual(written.features, { cart_value: 49.9, items_in_cart: 2 });

  const values = await store.getCustomerFeatures(customer, ["cart_value", "tenure_days", "no_such_feature"]);
  assert.deepEqual(values.features, { cart_value: 49.9, tenure_days: 0, no_such_feature: 0 });
  assert.deepEqual(values.missing, { tenure_days: "no_value", no_such_feature: "unknown" });
  assert.equal(values.versions.contextual, "1.0");
  assert.ok(values.ageSeconds >= 0 && values.ageSeconds < 60);
});

test("values of a type, a version and an earlier moment are set with their metadata", async () => {
  const customer = someone();
  const written = await store.setCustomerFeatures(customer, {
    features: { loyalty_tier: 3 },
    featureType: "customer",
    version: "1.0",
    timestamp: new Date("2026-01-31T12:00:00Z"),
    metadata: { campaign: "spring" },
  });
  assert.equal(Date.parse(written.timestamp), Date.UTC(2026, 0, 31, 12));
  assert.deepEqual(written.metadata, { campaign: "spring" });
});

test("values of two types, of computed ones or of unknown names are refused before anything is written", async () => {
  const customer = someone();
  for (const features of [{ cart_value: 1, loyalty_tier: 1 }, { engagement_score: 1 }, { no_such_feature: 1 }, {}]) {
    await assert.rejects(store.setCustomerFeatures(customer, features), FeatureHubError);
  }
  const { missing } = await store.getCustomerFeatures(customer, ["cart_value", "loyalty_tier"]);
  assert.deepEqual(missing, { cart_value: "no_value", loyalty_tier: "no_value" });
});

test("the history is the newest first, as far as the limit, also over several pages", async () => {
  const customer = someone();
  for (const cart_value of [1, 2, 3]) await store.setCustomerFeatures(customer, { cart_value });
  const rows = await store.getFeatureHistory(customer, "cart_value");
  assert.deepEqual(rows.map((row) => row.features.cart_value), [3, 2, 1]);
  assert.ok(rows.every((row) => row.featureType === "contextual" && MICROSECONDS.test(row.recordedAt)));
  const newest = await store.getFeatureHistory(customer, "cart_value", 2);
  assert.deepEqual(newest.map((row) => row.features.cart_value), [3, 2]);

  // More rows than a page has.
  const many = someone();
  const begin = Date.UTC(2026, 0, 1);
  const rowsOfMany = Array.from({ length: 1_002 }, (_, index) => ({
    customer_id: many,
    features: { cart_value: index },
    timestamp: new Date(begin + index * 1000).toISOString(),
  }));
  const answer = await fetch(new URL("/api/v1/features/batch/", url), {
    method: "PATCH",
    headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
    body: JSON.stringify({ feature_type: "contextual", version: "1.0", rows: rowsOfMany }),
  });
  assert.equal(answer.status, 200);
  const allOfMany = await store.getFeatureHistory(many, "cart_value", 1_001);
  assert.deepEqual(allOfMany.map((row) => row.features.cart_value), Array.from({ length: 1_001 }, (_, i) => 1_001 - i));
});

test("the vector is one CustomerFeature of every live value", async () => {
  const customer = someone();
  const unknown = await store.getFeatureVector(customer);
  assert.equal(unknown.timestamp, null);
  await store.setCustomerFeatures(customer, { cart_value: 5 });
  const vector = await store.getFeatureVector(customer);
  assert.equal(vector.customerId, customer);
  assert.equal(vector.featureType, "vector");
  assert.equal(vector.version, vector.versions.behavioral);
  assert.equal(vector.features.cart_value, 5);
  assert.ok("engagement_score" in vector.features);
  assert.match(vector.timestamp, MICROSECONDS);
});

test("many customers are read in the order asked, and a version that is named", async () => {
  const customers = [someone(), "..", someone()];
  await store.setCustomerFeatures(customers[2], { cart_value: 7 });
  const found = await store.getFeaturesOfCustomers(customers, ["cart_value"], { versions: ["contextual:1.0"] });
  assert.deepEqual(
    found.map((row) => [row.customerId, row.features.cart_value]),
    customers.map((id, place) => [id, place === 2 ? 7 : 0]),
  );
  const unknown = store.getCustomerFeatures(customers[0], ["cart_value"], { versions: ["contextual:9.9"] });
  await assert.rejects(unknown, NotFoundError);
});

test("an id is percent-encoded, and one that can't stand in an address is refused", async () => {
  const customer = `${someone()}?names=a#ü%2F&`;
  await store.setCustomerFeatures(customer, { cart_value: 4 });
  assert.equal((await store.getCustomerFeatures(customer, ["cart_value"])).features.cart_value, 4);
  await assert.rejects(store.getFeatureVector(".."), FeatureHubError);
});

test("an event that is stored again counts once", async () => {
  const event = { customerId: someone(), eventType: "page_view", eventId: randomUUID(), timestamp: new Date() };
  assert.deepEqual(await store.storeEvents([event]), { accepted: 1, duplicates: 0, refused: [] });
  assert.deepEqual(await store.storeEvents([event]), { accepted: 0, duplicates: 1, refused: [] });
});

test("what the server refuses is an error of its kind, with the part that is wrong", async () => {
  const wrong = [{ customerId: someone(), eventType: "no_such_type" }];
  await assert.rejects(store.storeEvents(wrong), (error) => {
    assert.ok(error instanceof InvalidRequestError);
    assert.equal(error.status, 400);
    assert.equal(error.errors[0].attr, "events.0.event_type");
    return true;
  });
  const stranger = new FeatureHubClient({ url, apiKey: "fh_unknown" });
  await assert.rejects(stranger.getFeatureVector("c1"), AuthenticationError);
});

test("the example prints canonical JSON", async () => {
  const [one, other] = [`${Date.now()}`, someone()];
  await store.setCustomerFeatures(other, { cart_value: 0.5, items_in_cart: 3 });
  const options = ["examples/read.mjs", "--names", "items_in_cart,cart_value", other, one];
  const printed = execFileSync(process.execPath, options, { encoding: "utf8" });
  assert.equal(
    printed,
    `{"${one}":{"cart_value":0,"items_in_cart":0},"${other}":{"cart_value":0.5,"items_in_cart":3}}\n`,
  );
});
