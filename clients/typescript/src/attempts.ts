/** The attempts of one request: when it is repeated, and which answers are not those of the API. */

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { asProblem, isPage, readMedia, UnreachableError, UnreadableError } from "./errors.js";
import { OPERATIONS, type Operation } from "./operations.js";

export interface SendOptions {
  /** Seconds to wait for an answer; 20 by default. */
  timeoutS?: number;
  /** Seconds after the beginning of a request within which its last attempt begins; 60 by default, 0: one attempt. */
  retryForS?: number;
  /** How requests are sent; by default the `fetch` of this machine. */
  fetch?: (request: Request) => Promise<Response>;
  /** How pauses are made; by default by a timer, which the signal ends. */
  sleep?: (seconds: number, signal: AbortSignal) => Promise<void>;
}

const ATTEMPTS_MAX = 8;
const PAUSE_S_MAX = 60;
const LOST_ANSWERS = [500, 502, 503, 504];
const TOO_MANY_REQUESTS = 429;
const NO_CONTENT = 204;
const STREAM = "text/event-stream";
const NEVER_SENT = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"];
/** Path parameters that would lead to another operation: they are no names in a URL. */
const UNSAFE_IDS = ["", ".", ".."];

/** Throw a TypeError if a path parameter is missing, empty or only dots. */
export function requireIds(path: string, ids: Record<string, unknown> = {}): void {
  for (const [, name = ""] of path.matchAll(/\{(.*?)\}/g)) {
    if (UNSAFE_IDS.includes(String(ids[name] ?? ""))) {
      throw new TypeError(`${path}: ${name} must not be ${JSON.stringify(ids[name])}.`);
    }
  }
}

/** Send a request until an answer ends it. */
export async function send(first: Request, route: string, options: SendOptions): Promise<Response> {
  const { retryForS = 60, sleep = pauseFor } = options;
  const operation = OPERATIONS[route];
  if (operation?.takesKey && !first.headers.has("idempotency-key")) {
    first.headers.set("idempotency-key", randomUUID());
  }
  const ends = performance.now() + 1000 * retryForS;
  for (let attempt = 1, nextS = 1, mayBeDone = false; ; attempt += 1, nextS = Math.min(2 * nextS, PAUSE_S_MAX)) {
    const outcome = await attemptOnce(first, options);
    first.signal.throwIfAborted();
    if (outcome instanceof Response && outcome.ok) {
      return operation === undefined ? outcome : await requireAnswer(outcome, operation);
    }
    const code = outcome instanceof Response ? asProblem(await readJson(outcome))?.code : undefined;
    if (code === "NOT_FOUND" && operation?.goneIsDone && mayBeDone) {
      return new Response(null, { status: NO_CONTENT });
    }
    const status = outcome instanceof Response ? outcome.status : undefined;
    const wasNotDone = status === TOO_MANY_REQUESTS || code === "OVERLOADED" || wasNeverSent(outcome);
    const isLost = !wasNotDone && (status === undefined || LOST_ANSWERS.includes(status));
    mayBeDone ||= isLost;
    const pauseS = (outcome instanceof Response ? readRetryAfter(outcome) : undefined) ?? nextS;
    const mayRepeat = wasNotDone || (isLost && operation?.isRepeatable);
    if (!mayRepeat || attempt >= ATTEMPTS_MAX || performance.now() + 1000 * pauseS >= ends) {
      if (outcome instanceof Response) {
        return outcome;
      }
      throw new UnreachableError(`${route}: ${outcome.message}`, { cause: outcome });
    }
    try {
      await sleep(pauseS, first.signal);
    } finally {
      first.signal.throwIfAborted();
    }
  }
}

/** Return the seconds of `Retry-After`, which a proxy may write as a date. */
export function readRetryAfter({ headers }: Response): number | undefined {
  const text = headers.get("retry-after") ?? "";
  if (/^\d+$/.test(text)) {
    return Number(text);
  }
  const seconds = (Date.parse(text) - Date.parse(headers.get("date") ?? "")) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}

/** Return a whole answer, or that a stream began; an error if neither came in time. */
async function attemptOnce(first: Request, options: SendOptions): Promise<Response | Error> {
  const { timeoutS = 20, fetch: fetchAnswer = fetch } = options;
  const late = new AbortController();
  const waitS = timeoutS + Number(new URL(first.url).searchParams.get("wait") ?? 0);
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${waitS} s`)), 1000 * waitS);
  try {
    const signal = AbortSignal.any([first.signal, late.signal]);
    const answer = await fetchAnswer(new Request(first.clone(), { signal }));
    return readMedia(answer) === STREAM ? answer : await readWhole(answer, first);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearTimeout(timer);
  }
}

/** Read an answer to its end; a page of a proxy may repeat the headers of the request. */
async function readWhole(answer: Response, { headers }: Request): Promise<Response> {
  const bytes = Buffer.from(await answer.arrayBuffer());
  const key = headers.get("authorization")?.replace(/^Bearer /, "");
  const whole = key && isPage(readMedia(answer)) ? bytes.toString().replaceAll(key, "***") : bytes;
  return new Response(whole.length > 0 ? whole : null, answer);
}

/** Return an answer if its type, and the fields that it must have, are those of the operation. */
async function requireAnswer(answer: Response, { media, required }: Operation): Promise<Response> {
  const shown = readMedia(answer);
  if (!media.includes(shown)) {
    const reason = `its type is ${shown || "missing"}, and not ${media.join(" or ") || "empty"}`;
    throw new UnreadableError(answer.status, reason, isPage(shown) ? await answer.text() : "");
  }
  if (shown === "application/json") {
    const value = await readJson(answer);
    const isObject = typeof value === "object" && value !== null;
    if (!(required === null ? Array.isArray(value) : isObject && required.every((name) => name in value))) {
      const reason = value === undefined ? "it is not JSON" : "it lacks what the answer of this operation has";
      throw new UnreadableError(answer.status, reason, "");
    }
  }
  return answer;
}

/** Return the value of a body; undefined if it is not JSON. */
async function readJson(answer: Response): Promise<unknown> {
  return answer
    .clone()
    .json()
    .catch(() => undefined);
}

function wasNeverSent(outcome: Response | Error): boolean {
  const cause = outcome instanceof Error ? (outcome.cause as { code?: string } | undefined) : undefined;
  return NEVER_SENT.includes(cause?.code ?? "");
}

function pauseFor(seconds: number, signal: AbortSignal): Promise<void> {
  return pause(1000 * seconds, undefined, { signal });
}
