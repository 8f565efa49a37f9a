/** Typed client of the Redemption Ledger API. */

export { connect, events, ok, pages, type ConnectOptions, type Ledger } from "./ledger.js";
export { LedgerError, LogRestoredError, ProblemError, SignatureError, UnreachableError, UnreadableError } from "./errors.js";
export { verifySignature, verifyWebhook, type VerifyOptions, type WebhookMessage } from "./webhooks.js";
export type { components, paths } from "./schema.js";
