/** The feature store over HTTP. */

import { FeatureHubError } from "./errors.js";
import {
  customerFeatureOf,
  eventOf,
  patchOf,
  recordedFeatureOf,
  valuesOf,
  vectorOf,
  type CustomerFeature,
  type FeaturesToSet,
  type FeatureValues,
  type FeatureVector,
  type NewEvent,
  type RecordedFeature,
  type StoredEvents,
} from "./features.js";
import type { components } from "./schema.js";
import { Transport, type CallOptions, type ClientOptions } from "./transport.js";

type Schemas = components["schemas"];

const LARGEST_PAGE = 1_000;
const MOST_CUSTOMERS = 1_000;

export interface ReadOptions extends CallOptions {
  /** Versions to read, one per feature type: `behavioral:1.0`. The live ones if it is left out. */
  versions?: readonly string[];
}

/** What reads and writes the features of customers. */
export interface FeatureStore {
  /** Return the named values of a customer; all live ones without names. */
  getCustomerFeatures(
    customerId: string,
    featureNames?: readonly string[],
    options?: ReadOptions,
  ): Promise<FeatureValues>;

  /** Set the named values, keep the others, and return what the customer has from then on.
   *
   * Names and numbers alone are written to the live version of their type, which they all have to be of.
   */
  setCustomerFeatures(
    customerId: string,
    features: Readonly<Record<string, number>> | FeaturesToSet,
    options?: CallOptions,
  ): Promise<CustomerFeature>;

  /** Return the newest rows of the history that hold the feature, the newest first; 100 if `limit` is left out. */
  getFeatureHistory(
    customerId: string,
    featureName: string,
    limit?: number,
    options?: CallOptions,
  ): Promise<RecordedFeature[]>;

  /** Return every live value of a customer. */
  getFeatureVector(customerId: string, options?: CallOptions): Promise<FeatureVector>;
}

/** A feature store on a FeatureHub server. Between calls it keeps the feature types of names, which never change. */
export class FeatureHubClient implements FeatureStore {
  private readonly transport: Transport;
  private types = new Map<string, Schemas["RegisteredFeature"]["feature_type"]>();

  constructor(options: ClientOptions) {
    this.transport = new Transport(options);
  }

  async getCustomerFeatures(
    customerId: string,
    featureNames?: readonly string[],
    { versions, ...call }: ReadOptions = {},
  ): Promise<FeatureValues> {
    const answer = await this.transport.send<Schemas["FeatureValues"]>(
      {
        method: "GET",
        path: `${pathOf(customerId)}features/`,
        query: { names: featureNames?.join(","), version: versions },
      },
      call,
    );
    return valuesOf(answer);
  }

  /** Return the named values of many customers, in the order asked; a request for each thousand of them. */
  async getFeaturesOfCustomers(
    customerIds: readonly string[],
    featureNames: readonly string[],
    { versions, ...call }: ReadOptions = {},
  ): Promise<FeatureValues[]> {
    const found: FeatureValues[] = [];
    for (let start = 0; start < customerIds.length; start += MOST_CUSTOMERS) {
      const body: Schemas["BatchRequest"] = {
        customer_ids: customerIds.slice(start, start + MOST_CUSTOMERS),
        names: [...featureNames],
        ...(versions === undefined ? {} : { version: [...versions] }),
      };
      const request = { method: "POST", path: "features/batch/", body } as const;
      const answer = await this.transport.send<Schemas["BatchOfValues"]>(request, call);
      found.push(...answer.results.map(valuesOf));
    }
    return found;
  }

  async setCustomerFeatures(
    customerId: string,
    features: Readonly<Record<string, number>> | FeaturesToSet,
    options: CallOptions = {},
  ): Promise<CustomerFeature> {
    const path = `${pathOf(customerId)}features/`;
    const toSet = isComplete(features) ? features : await this.complete(path, features, options);
    const request = { method: "PATCH", path, body: patchOf(toSet) } as const;
    return customerFeatureOf(await this.transport.send(request, options));
  }

  async getFeatureHistory(
    customerId: string,
    featureName: string,
    limit = 100,
    options: CallOptions = {},
  ): Promise<RecordedFeature[]> {
    const path = `${pathOf(customerId)}features/${encodeURIComponent(featureName)}/history/`;
    const rows: RecordedFeature[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: Math.min(limit - rows.length, LARGEST_PAGE), cursor };
      const page = await this.transport.send<Schemas["HistoryPage"]>({ method: "GET", path, query }, options);
      rows.push(...page.results.map(recordedFeatureOf));
      // The address in `next` is the one that the server has for itself, which a proxy may have changed.
      cursor = page.next === null ? undefined : (new URL(page.next).searchParams.get("cursor") ?? undefined);
    } while (cursor !== undefined && rows.length < limit);
    return rows;
  }

  async getFeatureVector(customerId: string, options: CallOptions = {}): Promise<FeatureVector> {
    return vectorOf(await this.transport.send({ method: "GET", path: `${pathOf(customerId)}vector/` }, options));
  }

  /** Store up to 10,000 events, all or none of them. They have been stored when this returns. */
  async storeEvents(events: readonly NewEvent[], options: CallOptions = {}): Promise<StoredEvents> {
    const now = new Date();
    const body = { events: events.map((event) => eventOf(event, now)) };
    const request = { method: "POST", path: "events/", body } as const;
    return { refused: [], ...(await this.transport.send<Schemas["StoredEvents"]>(request, options)) };
  }

  /** Return names and numbers with their type and its live version, which the customer is read with. */
  private async complete(
    path: string,
    features: Readonly<Record<string, number>>,
    options: CallOptions,
  ): Promise<FeaturesToSet> {
    const names = Object.keys(features);
    const featureType = await this.writtenType(names, options);
    const query = { names: names.join(",") };
    const read = await this.transport.send<Schemas["FeatureValues"]>({ method: "GET", path, query }, options);
    const version = read.versions[featureType];
    if (version === undefined) throw new FeatureHubError(`No version of the type ${featureType} is live.`);
    return { features, featureType, version };
  }

  /** Return the type that all of the names are of. Throws where there is not one, or clients do not write it. */
  private async writtenType(names: readonly string[], options: CallOptions): Promise<FeaturesToSet["featureType"]> {
    if (names.some((name) => !this.types.has(name))) {
      const request = { method: "GET", path: "definitions/" } as const;
      const { results } = await this.transport.send<Schemas["RegisteredFeatures"]>(request, options);
      this.types = new Map(results.map((feature) => [feature.name, feature.feature_type]));
    }
    const found = new Set(names.map((name) => this.types.get(name) ?? `${name} is not registered`));
    const [type] = found;
    if (found.size === 1 && (type === "customer" || type === "contextual")) return type;
    throw new FeatureHubError(
      "The values of one call have to be of one type that clients write, customer or contextual; " +
        `these are: ${[...found].join(", ") || "none"}.`,
    );
  }
}

function isComplete(features: Readonly<Record<string, number>> | FeaturesToSet): features is FeaturesToSet {
  // A feature can be called `features`: its value is a number then.
  return typeof features.features === "object";
}

/** Return the path of a customer. Throws for `.` and `..`, which every program takes out of an address. */
function pathOf(customerId: string): string {
  if (/^\.{1,2}$/.test(customerId)) {
    throw new FeatureHubError(`The customer id ${customerId} can't stand in an address: read it in a batch.`);
  }
  return `customers/${encodeURIComponent(customerId)}/`;
}
