// Answers the requests of the TypeScript package here, and prints what it did: one line of JSON.

import { connect, events, ok, verifyWebhook } from "redemption-ledger-client";

const { signed } = JSON.parse(process.argv[2]);
const problem = (status, code, headers = {}) => () =>
  Response.json({ status, code, detail: "As a test." }, { status, headers: { "content-type": "application/problem+json", ...headers } });
const lost = () => {
  throw new TypeError("fetch failed");
};

async function call(outcomes, send) {
  const [requests, pauses] = [[], []];
  const fetch = async (request) => {
    const outcome = outcomes[Math.min(requests.length, outcomes.length - 1)];
    requests.push(request);
    return outcome();
  };
  const ledger = connect({ url: "http://ledger.example.com/", fetch, sleep: async (seconds) => pauses.push(seconds) });
  const failed = await send(ledger).then(() => "", (error) => `${error.name} ${error.code ?? ""} ${error.retryAfterS ?? ""}`.trim());
  return { keys: new Set(requests.map((each) => each.headers.get("idempotency-key"))).size, attempts: requests.length, pauses, failed };
}

const issue = (ledger) => ok(ledger.POST("/api/v1/codes", { body: {} }));
const subscribe = (ledger) => ok(ledger.POST("/api/v1/webhooks", { body: { url: "https://bi.example.com/" } }));
const read = async (ledger) => {
  for await (const _ of events(ledger, { after: 9, waitS: 0 }));
};
const verify = ([body, headers, secrets, now]) => {
  try {
    return verifyWebhook(body, headers, secrets, { now }).id;
  } catch (error) {
    return error.name;
  }
};
console.log(
  JSON.stringify({
    lost: await call([problem(503, "UNAVAILABLE", { "retry-after": "7" }), lost, problem(502), () => Response.json([])], issue),
    once: await call([problem(503, "UNAVAILABLE")], subscribe),
    unreachable: await call([lost], subscribe),
    limited: await call([problem(429, "RATE_LIMITED", { "retry-after": "3600" })], issue),
    proxied: await call([() => new Response("<html>", { status: 403 })], issue),
    restored: await call([() => Response.json({ events: [], next: 5, more: false, newest: 5 })], read),
    verified: signed.map(verify),
  }),
);
