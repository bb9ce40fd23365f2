// Prints the named values of customers as one line of canonical JSON (RFC 8785): {customer: {name: value}}.
//
//   FEATUREHUB_URL=http://127.0.0.1:8000 FEATUREHUB_API_KEY=fh_… node read.mjs --names a,b customer1 customer2
import { parseArgs } from "node:util";

import { FeatureHubClient } from "featurehub-client";

const { values, positionals: customers } = parseArgs({
  options: { names: { type: "string" } },
  allowPositionals: true,
});
const { FEATUREHUB_URL: url, FEATUREHUB_API_KEY: apiKey } = process.env;
if (!values.names || customers.length === 0 || !url || !apiKey) {
  console.error("Usage: FEATUREHUB_URL=… FEATUREHUB_API_KEY=… node read.mjs --names a,b customer1 customer2");
  process.exit(2);
}

const store = new FeatureHubClient({ url, apiKey });
const found = await store.getFeaturesOfCustomers(customers, values.names.split(","));
// An object would put keys that are whole numbers first, so that its members are written out.
const json = (members) => `{${members.sort().map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")}}`;
const features = (row) => json(Object.entries(row.features).map(([name, value]) => [name, JSON.stringify(value)]));
console.log(json([...new Map(found.map((row) => [row.customerId, features(row)]))]));
