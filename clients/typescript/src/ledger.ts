/** Requests by the types of the OpenAPI document. */

import createClient, { type Client } from "openapi-fetch";
import { readRetryAfter, requireIds, send, type SendOptions } from "./attempts.js";
import { asProblem, isPage, LogRestoredError, ProblemError, readMedia } from "./errors.js";
import type { components, paths } from "./schema.js";

/** A client with a method for each HTTP method: `ledger.GET("/api/v1/codes", ...)`. */
export type Ledger = Client<paths, "application/json" | "application/problem+json">;

export interface ConnectOptions extends SendOptions {
  /** Address of the ledger, without `/api/v1`. */
  url: string;
  /** API key; without it only public operations are possible. */
  key?: string;
  /** Language of `message` and `detail`; `en` by default. */
  language?: "en" | "zh";
}

/** Connect to a ledger; throw a TypeError if the URL or the key is missing or invalid, such as an empty setting. */
export function connect(options: ConnectOptions): Ledger {
  const { url, key, language = "en" } = options;
  if (!/^https?:\/\//.test(url)) {
    throw new TypeError(`The URL of the ledger must begin with http:// or https://, and is ${JSON.stringify(url)}.`);
  }
  if (key !== undefined && !/^[!-~]+$/.test(key)) {
    throw new TypeError("The API key must be printable ASCII characters without spaces. Leave it out for no key.");
  }
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const headers = { "accept-language": language, ...authorization };
  const client: Ledger = createClient({ baseUrl: url.replace(/\/+$/, ""), headers, redirect: "manual" });
  client.use({
    onRequest: ({ request, schemaPath, params }) => {
      requireIds(schemaPath, params.path);
      return send(request, `${request.method} ${schemaPath}`, options);
    },
  });
  return client;
}

/** Return the data of an answer; throw ProblemError for a refusal. */
export async function ok<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) {
    return data as T;
  }
  const page = isPage(readMedia(response)) ? String(error ?? "") : "";
  throw new ProblemError(response.status, asProblem(error), readRetryAfter(response), page);
}

/** Yield each page of a list: `pages((cursor) => ok(ledger.GET("/api/v1/codes", { params: { query: { cursor } } })))`. */
export async function* pages<P extends { next: string | null }>(
  read: (cursor: string | null) => Promise<P>,
): AsyncGenerator<P> {
  for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
    const page = await read(cursor);
    yield page;
    cursor = page.next;
  }
}

export type EventFilter = Omit<NonNullable<paths["/api/v1/events"]["get"]["parameters"]["query"]>, "format" | "wait">;

/**
 * Yield the events after a position, oldest first, and wait for new ones.
 *
 * Store `position` of an event together with what you derive from it, and continue there. `waitS: 0` ends at the end of
 * the log; otherwise each request waits for new events for `waitS` seconds, up to 30.
 */
export async function* events(
  ledger: Ledger,
  { waitS = 30, after = 0, ...filter }: EventFilter & { waitS?: number } = {},
): AsyncGenerator<components["schemas"]["EventView"]> {
  for (let position = after, more = true; more; ) {
    const query = { ...filter, after: position, wait: waitS };
    const page = (await ok(ledger.GET("/api/v1/events", { params: { query } }))) as components["schemas"]["EventPage"];
    if (page.newest < position) {
      throw new LogRestoredError(position, page.newest);
    }
    yield* page.events;
    position = page.next;
    more = page.more || waitS > 0;
  }
}
