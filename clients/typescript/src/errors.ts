/** What calls throw. */

import type { components } from "./schema.js";

const EXCERPT_MAX = 200;

export type Problem = components["schemas"]["Problem"];

/** Base of everything that this client throws. */
export class LedgerError extends Error {
  override readonly name: string = this.constructor.name;
}

/** No answer came, also not to repeated requests. The request may have taken effect. */
export class UnreachableError extends LedgerError {}

/** The API refused a request. */
export class ProblemError extends LedgerError {
  constructor(
    readonly status: number,
    /** The whole problem document; undefined if the answer came from a proxy. */
    readonly problem: Problem | undefined,
    /** Seconds after which a repeat may succeed, if the API names them. */
    readonly retryAfterS: number | undefined,
    page: string = "",
  ) {
    const excerpt = problem ? "" : quote(page);
    super(problem ? `${problem.code}: ${problem.detail}` : `${status}: ${withoutProblem(status)} ${excerpt}`.trimEnd());
    this.excerpt = excerpt;
  }

  /** The beginning of the page of a proxy, without your key. */
  readonly excerpt: string;

  /** Stable code of the problem, by which programs decide; empty if the answer came from a proxy. */
  get code(): Problem["code"] | "" {
    return this.problem?.code ?? "";
  }

  /** What happened and the next step, in the language of the client. */
  get detail(): string {
    return this.problem?.detail ?? withoutProblem(this.status);
  }
}

/**
 * An answer says success, but is not one of the API: such as a page of a proxy. The request may have taken effect.
 *
 * `excerpt` is the beginning of a page of a proxy, without your key.
 */
export class UnreadableError extends LedgerError {
  readonly excerpt: string;

  constructor(
    readonly status: number,
    reason: string,
    page: string,
  ) {
    const excerpt = quote(page);
    super(`The answer ${status} cannot be read: ${reason}. ${excerpt}`.trimEnd());
    this.excerpt = excerpt;
  }
}

/** The log ends before a position that was read: the ledger was restored from an older backup. */
export class LogRestoredError extends LedgerError {
  constructor(
    readonly position: number,
    /** The end of the log. Continue from a position that you trust. */
    readonly newest: number,
  ) {
    super(`The log ends at ${newest}, before position ${position}: it was restored from an older backup.`);
  }
}

/** A webhook message is not signed by any of the secrets, was signed too long ago, or has another form. */
export class SignatureError extends LedgerError {}

/** Return a value if it is a problem document. */
export function asProblem(value: unknown): Problem | undefined {
  const problem = value as Partial<Problem> | null | undefined;
  return typeof problem?.code === "string" && typeof problem.detail === "string" ? (value as Problem) : undefined;
}

/** Return the type of an answer, without its parameters. */
export function readMedia({ headers }: Response): string {
  return (headers.get("content-type") ?? "").replace(/;.*/, "").trim().toLowerCase();
}

/** Return whether an error may quote an answer of a type: JSON and CSV of the API may hold codes and secrets. */
export function isPage(media: string): boolean {
  return ["text/html", "text/plain"].includes(media);
}

function quote(page: string): string {
  return page.replace(/[\p{C}\s]+/gu, " ").trim().slice(0, EXCERPT_MAX);
}

function withoutProblem(status: number): string {
  return `The server answered ${status} without a problem document.`;
}
