/** A program in TypeScript that uses the package: it is compiled, not run. */
import { FeatureHubClient, NotFoundError, type CustomerFeature, type FeatureStore } from "featurehub-client";

/** A store of one's own, as in the tests of an application. */
export class StoreInMemory implements Pick<FeatureStore, "getFeatureVector"> {
  async getFeatureVector(customerId: string) {
    const constant = { featureType: "vector", version: "1.0", source: "cache" } as const;
    return { ...constant, customerId, features: {}, timestamp: null, versions: {}, missing: {} };
  }
}

const client = new FeatureHubClient({ url: "http://127.0.0.1:8000", apiKey: "fh_key" });

export async function program(store: FeatureStore = client) {
  const values = await store.getCustomerFeatures("c1", ["cart_value"], { versions: ["contextual:1.0"] });
  const reason: "unknown" | "no_value" | "expired" | undefined = values.missing["cart_value"];
  const written: CustomerFeature = await store.setCustomerFeatures("c1", { cart_value: 1 });
  await store.setCustomerFeatures("c1", { features: { cart_value: 1 }, featureType: "contextual", version: "1.0" });
  const vector: CustomerFeature = await store.getFeatureVector("c1");
  const rows: CustomerFeature[] = await store.getFeatureHistory("c1", "cart_value", 10).catch((error: unknown) => {
    if (error instanceof NotFoundError && error.errors[0]?.code === "not_found") return [];
    throw error;
  });
  // @ts-expect-error - clients do not write behavioral values
  await store.setCustomerFeatures("c1", { features: { a: 1 }, featureType: "behavioral", version: "1.0" });
  return { reason, written, vector, rows };
}
