// A program on the generated types: the compiler checks what it may ask for, and what it gets.
import type { components, operations, paths } from "./schema";

type Answer = paths["/api/v1/customers/{customer_id}/features/"]["get"]["responses"][200]["content"]["application/json"];
type Read = operations["get_customer_features"]["parameters"];

export const read: Read = { path: { customer_id: "c1" }, query: { names: "engagement_score" } };

export function scoreOf(answer: Answer): number | null {
    const reason: components["schemas"]["MissingReason"] | undefined = answer.missing["engagement_score"];
    return reason === "no_value" ? null : answer.features["engagement_score"];
}

export const event: components["schemas"]["NewEvent"] = {
    customer_id: "c1",
    event_type: "purchase",
    timestamp: "2026-01-31T12:00:00Z",
    metadata: { amount: 49.9 },
};

// @ts-expect-error: there is no such source.
export const source: Answer["source"] = "disk";
// @ts-expect-error: an event has a moment.
export const undated: components["schemas"]["NewEvent"] = { customer_id: "c1", event_type: "login" };
