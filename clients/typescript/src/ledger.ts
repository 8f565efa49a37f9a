/** Requests by the types of the OpenAPI document, and their repeats. */

import { randomUUID } from "node:crypto";
import createClient, { type Client } from "openapi-fetch";
import { LogRestoredError, ProblemError, UnreachableError, type Problem } from "./errors.js";
import { KEYED, REPEATABLE } from "./repeats.js";
import type { components, paths } from "./schema.js";

/** A client with a method for each HTTP method: `ledger.GET("/api/v1/codes", ...)`. */
export type Ledger = Client<paths, "application/json" | "application/problem+json">;

export interface ConnectOptions {
  /** Address of the ledger, without `/api/v1`. */
  url: string;
  /** API key; without it only public operations are possible. */
  key?: string;
  /** Language of `message` and `detail`; `en` by default. */
  language?: "en" | "zh";
  /** Seconds to wait for an answer; 20 by default. */
  timeoutS?: number;
  /** Seconds that the pauses between the attempts of one call may take in total; 60 by default, 0: one attempt. */
  retryForS?: number;
  /** How requests are sent; by default the `fetch` of this machine. */
  fetch?: (request: Request) => Promise<Response>;
  /** How pauses are made; by default by a timer. */
  sleep?: (seconds: number) => Promise<void>;
}

const ATTEMPTS_MAX = 8;
const PAUSE_S_MAX = 60;
const LOST_ANSWERS = [500, 502, 503, 504];
const TOO_MANY_REQUESTS = 429;

/** Connect to a ledger. */
export function connect(options: ConnectOptions): Ledger {
  const { url, key, language = "en" } = options;
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const headers = { "accept-language": language, ...authorization };
  const client: Ledger = createClient({ baseUrl: url.replace(/\/+$/, ""), headers });
  client.use({ onRequest: ({ request, schemaPath }) => repeat(request, `${request.method} ${schemaPath}`, options) });
  return client;
}

/** Return the data of an answer; throw ProblemError for a refusal. */
export async function ok<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) {
    return data as T;
  }
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json");
  throw new ProblemError(response.status, isProblem ? (error as Problem) : undefined, readRetryAfter(response));
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

async function repeat(first: Request, route: string, options: ConnectOptions): Promise<Response> {
  const { timeoutS = 20, retryForS = 60, fetch: send = fetch, sleep = pause } = options;
  const takesKey = KEYED.has(route);
  if (takesKey && !first.headers.has("idempotency-key")) {
    first.headers.set("idempotency-key", randomUUID());
  }
  const canRepeat = takesKey || ["GET", "PUT", "DELETE"].includes(first.method) || REPEATABLE.has(route);
  const timeoutMs = 1000 * (timeoutS + Number(new URL(first.url).searchParams.get("wait") ?? 0));
  let [leftS, nextS] = [retryForS, 1];
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await attemptOnce(new Request(first.clone(), { signal: AbortSignal.timeout(timeoutMs) }), send);
    const mayRepeat =
      outcome instanceof Response
        ? outcome.status === TOO_MANY_REQUESTS || (LOST_ANSWERS.includes(outcome.status) && canRepeat)
        : canRepeat || wasNeverSent(outcome);
    const pauseS = (outcome instanceof Response ? readRetryAfter(outcome) : undefined) ?? nextS;
    leftS -= pauseS;
    nextS = Math.min(2 * nextS, PAUSE_S_MAX);
    if (!mayRepeat || leftS <= 0 || attempt >= ATTEMPTS_MAX) {
      if (outcome instanceof Response) {
        return outcome;
      }
      throw new UnreachableError(`${route}: ${outcome.message}`, { cause: outcome });
    }
    await sleep(pauseS);
  }
}

async function attemptOnce(request: Request, send: (request: Request) => Promise<Response>): Promise<Response | Error> {
  try {
    return await send(request);
  } catch (error) {
    return error as Error;
  }
}

function wasNeverSent(error: Error): boolean {
  const code = (error.cause as { code?: string } | undefined)?.code ?? "";
  return ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"].includes(code);
}

function readRetryAfter(response: Response): number | undefined {
  const text = response.headers.get("retry-after") ?? "";
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
