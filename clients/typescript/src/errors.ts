/** What calls throw. */

import type { components } from "./schema.js";

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
  ) {
    super(problem ? `${problem.code}: ${problem.detail}` : `The server answered ${status} without a problem document.`);
  }

  /** Stable code of the problem, by which programs decide; empty if the answer came from a proxy. */
  get code(): Problem["code"] | "" {
    return this.problem?.code ?? "";
  }

  /** What happened and the next step, in the language of the client. */
  get detail(): string {
    return this.problem?.detail ?? this.message;
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

/** A webhook message is not signed by any of the secrets, or was signed too long ago. */
export class SignatureError extends LedgerError {}
