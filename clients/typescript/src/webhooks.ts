/** Verification of webhook messages, and of other signed requests, by Standard Webhooks 1.0. */

import { createHmac, timingSafeEqual } from "node:crypto";
import { SignatureError } from "./errors.js";

/** A message that the ledger signed. */
export interface WebhookMessage {
  /** Its `webhook-id`. A message can arrive more than once: process each id once. */
  id: string;
  /** Type of the event, such as `InviteSent`. */
  type: string;
  /** Ids, `version` and `position` of the event. */
  data: Record<string, unknown>;
}

export interface VerifyOptions {
  /** By how many seconds the clock of the ledger and yours may differ; 300 by default. */
  toleranceS?: number;
  /** Unix time in seconds; by default that of this machine. */
  now?: number;
}

/** As Standard Webhooks 1.0 asks. A shorter key is a setting that is missing, by which anyone could sign. */
const KEY_BYTES_MIN = 24;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function readKey(secret: string): Buffer {
  const encoded = secret.replace(/^whsec_/, "");
  const key = Buffer.from(BASE64.test(encoded) ? encoded : "", "base64");
  if (!secret.startsWith("whsec_") || key.length < KEY_BYTES_MIN) {
    throw new TypeError(`A secret begins with whsec_, and base64 of at least ${KEY_BYTES_MIN} bytes follows.`);
  }
  return key;
}

/**
 * Return the `webhook-id` of a request with any body, such as a batch of `ledger relay`, if a secret signed it.
 *
 * `body` is the body exactly as received. `headers` are those of `fetch` or of `node:http`. While you replace a secret,
 * pass the old one and the new one. A secret that is missing or invalid, such as an empty setting, is a TypeError.
 */
export function verifySignature(
  body: string | Uint8Array,
  headers: Headers | Record<string, string | string[] | undefined>,
  secrets: string | string[],
  { toleranceS = 300, now = Date.now() / 1000 }: VerifyOptions = {},
): string {
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers);
  const received = new Map(entries.map(([name, value]) => [name.toLowerCase(), String(value ?? "")]));
  const [id, at, signatures] = ["id", "timestamp", "signature"].map((name) => received.get(`webhook-${name}`) ?? "");
  const keys = [secrets].flat().map(readKey);
  const hasSigned = (key: Buffer): boolean => {
    const signer = createHmac("sha256", key);
    const expected = Buffer.from(`v1,${signer.update(`${id}.${at}.`).update(body).digest("base64")}`);
    const shown = (signatures ?? "").split(" ").map((each) => Buffer.from(each));
    return shown.some((each) => each.length === expected.length && timingSafeEqual(each, expected));
  };
  if (!id || id.includes(".") || !/^[0-9]{1,11}$/.test(at ?? "")) {
    throw new SignatureError("A header is missing or malformed.");
  }
  if (!keys.some(hasSigned)) {
    throw new SignatureError("No secret signed the message.");
  }
  if (!(Math.abs(now - Number(at)) <= toleranceS)) {
    throw new SignatureError(`The message was signed more than ${toleranceS} s from now.`);
  }
  return id;
}

/** Return the message of a request, if one of the secrets signed it. Arguments are those of `verifySignature`. */
export function verifyWebhook(...signed: Parameters<typeof verifySignature>): WebhookMessage {
  const id = verifySignature(...signed);
  try {
    const decoded = JSON.parse(Buffer.from(signed[0] as Uint8Array).toString("utf-8"));
    const { type, data } = "specversion" in decoded ? decoded.data : decoded;
    if (typeof type === "string") {
      return { id, type, data };
    }
  } catch {
    // As below: what is signed is not JSON.
  }
  throw new SignatureError("The signed body is not one message. Read a batch after verifySignature.");
}
