/** The shapes that the client takes and returns, and how they follow from those of the HTTP API. */

import type { components } from "./schema.js";

type Schemas = components["schemas"];

/** Values of one customer that hold from a moment on. */
export interface CustomerFeature {
  customerId: string;
  /** Value of each feature by its name. */
  features: Record<string, number>;
  /** ISO 8601 in UTC, exact to the microsecond, from when the values hold; null where there are none. */
  timestamp: string | null;
  /** `vector` for values of every type together. */
  featureType: Schemas["HistoryRow"]["feature_type"] | "vector";
  version: string;
  /** Of computed values the weight set and the activity behind them; of others what was written with them. */
  metadata?: Record<string, unknown>;
}

/** A row of the history: also when it was stored. */
export interface RecordedFeature extends CustomerFeature {
  timestamp: string;
  recordedAt: string;
}

/** Every live value of a customer; `timestamp` is that of the oldest, `version` the live behavioral one. */
export interface FeatureVector extends CustomerFeature {
  featureType: "vector";
  /** Version of each feature type that was read. */
  versions: Record<string, string>;
  missing: FeatureValues["missing"];
  source: FeatureValues["source"];
}

/** The values that were asked for. A name without a value has its default, and stands in `missing` with the reason. */
export interface FeatureValues {
  customerId: string;
  features: Record<string, number>;
  /** `unknown`, `no_value` or `expired`; a newer server may have further reasons. */
  missing: Record<string, Schemas["MissingReason"]>;
  /** Version of each feature type that was read. */
  versions: Record<string, string>;
  /** The feature set that was asked for. */
  featureSet?: string;
  /** Moment as of which the oldest of the values was computed; null if there is no value. */
  computedAt: string | null;
  ageSeconds: number | null;
  source: Schemas["FeatureValues"]["source"];
}

/** Values to set, of one type and version, beside the customer that they are of. */
export interface FeaturesToSet {
  features: Readonly<Record<string, number>>;
  featureType: Schemas["FeaturesPatch"]["feature_type"];
  version: string;
  /** From when the values hold; now if it is left out. An earlier moment corrects the history. */
  timestamp?: string | Date | null;
  metadata?: Record<string, unknown>;
}

export interface NewEvent {
  customerId: string;
  eventType: string;
  /** Now if it is left out. */
  timestamp?: string | Date;
  /** Made by the client if it is left out, so that a request that is sent again counts once. */
  eventId?: string;
  sessionId?: string;
  metadata?: Record<string, unknown>;
}

export interface StoredEvents {
  accepted: number;
  duplicates: number;
  /** Events that were not taken, by their place in the request. */
  refused: readonly Schemas["RefusedEvent"][];
}

export function valuesOf(answer: Schemas["FeatureValues"]): FeatureValues {
  return {
    customerId: answer.customer_id,
    features: answer.features,
    missing: answer.missing,
    versions: answer.versions,
    ...(answer.set === undefined ? {} : { featureSet: answer.set }),
    computedAt: answer.computed_at,
    ageSeconds: answer.age_seconds,
    source: answer.source,
  };
}

export function customerFeatureOf(answer: Schemas["WrittenFeatures"]): CustomerFeature & { timestamp: string } {
  return {
    customerId: answer.customer_id,
    features: answer.features,
    timestamp: answer.timestamp,
    featureType: answer.feature_type,
    version: answer.version,
    metadata: answer.metadata,
  };
}

export function recordedFeatureOf(row: Schemas["HistoryRow"]): RecordedFeature {
  return { ...customerFeatureOf(row), recordedAt: row.recorded_at };
}

export function vectorOf(answer: Schemas["FeatureVector"]): FeatureVector {
  return {
    customerId: answer.customer_id,
    features: answer.features,
    timestamp: answer.timestamp,
    featureType: answer.feature_type,
    version: answer.version,
    metadata: answer.metadata,
    versions: answer.versions,
    missing: answer.missing,
    source: answer.source,
  };
}

export function patchOf(given: FeaturesToSet): Schemas["FeaturesPatch"] {
  const { features, featureType, version, timestamp, metadata } = given;
  return {
    feature_type: featureType,
    version,
    features: { ...features },
    ...(timestamp == null ? {} : { timestamp: momentOf(timestamp) }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

export function eventOf(given: NewEvent, now: Date): Schemas["NewEvent"] {
  return {
    event_id: given.eventId ?? crypto.randomUUID(),
    customer_id: given.customerId,
    event_type: given.eventType,
    timestamp: momentOf(given.timestamp ?? now),
    ...(given.sessionId === undefined ? {} : { session_id: given.sessionId }),
    ...(given.metadata === undefined ? {} : { metadata: given.metadata }),
  };
}

function momentOf(moment: string | Date): string {
  return moment instanceof Date ? moment.toISOString() : moment;
}
