// Answers the requests of the TypeScript package here, and prints what it did: one line of JSON.

import { connect, events, ok, verifySignature, verifyWebhook } from "redemption-ledger-client";

const { signed, batches, settings, ids } = JSON.parse(process.argv[2]);
const JSON_TYPE = { "content-type": "application/json" };
const problem = (status, code, headers = {}) => () =>
  Response.json({ status, code, detail: "As a test." }, { status, headers: { "content-type": "application/problem+json", ...headers } });
const page = (status, text, headers = {}) => () => new Response(text, { status, headers: { "content-type": "text/html", ...headers } });
const lost = () => {
  throw new TypeError("fetch failed");
};
const brokenOff = () =>
  new Response(new ReadableStream({ pull: (controller) => controller.error(new TypeError("terminated")) }), { headers: JSON_TYPE });
const refused = () => {
  throw new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } });
};
// A clock that only pauses and slow attempts move.
let clockMs = 0;
performance.now = () => clockMs;
const slow = () => {
  clockMs += 25_000;
  return lost();
};

async function call(outcomes, send) {
  const [requests, pauses] = [[], []];
  const fetch = async (request) => {
    const outcome = outcomes[Math.min(requests.length, outcomes.length - 1)];
    requests.push(request);
    return outcome(request);
  };
  const sleep = async (seconds) => {
    pauses.push(seconds);
    clockMs += 1000 * seconds;
  };
  const ledger = connect({ url: "http://ledger.example.com/", key: "KEY", fetch, sleep });
  const named = (error) => `${error.name} ${error.status ?? ""} ${error.code ?? ""} ${error.retryAfterS ?? ""}`.replace(/ +/g, " ").trim();
  const { failed, text } = await send(ledger).then(
    () => ({ failed: "", text: "" }),
    (error) => ({ failed: named(error), text: `${error.message}|${error.excerpt ?? ""}` }),
  );
  const keys = new Set(requests.map((each) => each.headers.get("idempotency-key"))).size;
  const paths = requests.map((each) => new URL(each.url).pathname);
  return { keys, attempts: requests.length, pauses, failed, text, paths, redirects: requests.map((each) => each.redirect) };
}

const issue = (ledger) => ok(ledger.POST("/api/v1/codes", { body: {} }));
const subscribe = (ledger) => ok(ledger.POST("/api/v1/webhooks", { body: { url: "https://bi.example.com/" } }));
const putChannel = (ledger) => ok(ledger.PUT("/api/v1/channels", { body: { group: "red", kind: "webhook" } }));
const rebind = (ledger) => ok(ledger.POST("/api/v1/public/rebind", { body: {} }));
const remove = (id) => (ledger) => ok(ledger.DELETE("/api/v1/webhooks/{endpoint_id}", { params: { path: { endpoint_id: id } } }));
const deleteChannel = (ledger) => ok(ledger.DELETE("/api/v1/channels/{channel_id}", { params: { path: { channel_id: "1" } } }));
const list = (ledger) => ok(ledger.GET("/api/v1/codes"));
const readTable = (ledger) => ok(ledger.GET("/api/v1/codes/{code_id}/history", { params: { path: { code_id: "1" }, query: { format: "csv" } }, parseAs: "text" }));
const read = async (ledger) => {
  for await (const _ of events(ledger, { after: 9, waitS: 0 }));
};
const nameOf = (call) => {
  try {
    return call();
  } catch (error) {
    return error.name;
  }
};
const until = (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

// What happens when the caller ends a request: during an attempt, and during a pause.
async function abort(fetch, options = {}) {
  const controller = new AbortController();
  let attempts = 0;
  const counted = (request) => {
    attempts += 1;
    setTimeout(() => controller.abort(), 10);
    return fetch(request);
  };
  const ledger = connect({ url: "http://ledger.example.com", fetch: counted, ...options });
  const failed = await ok(ledger.GET("/api/v1/codes", { signal: controller.signal })).then(() => "", (error) => error.name);
  return { attempts, failed };
}

const answered = { issue: {}, list: {} };
for (const [name, outcome] of Object.entries({
  page: page(200, "<p>Sign in,\u001b 'Bearer KEY'</p>"),
  untyped: () => new Response(Buffer.from('[{"code":"SECRET')),
  broken: () => new Response('[{"code":"SECRET', { headers: JSON_TYPE }),
  other: () => Response.json({ maintenance: "SECRET" }),
  empty: () => new Response(null, { status: 204 }),
  moved: page(302, "<html>Moved", { location: "http://elsewhere.example.com/" }),
})) {
  answered.issue[name] = await call([outcome], issue);
  answered.list[name] = await call([outcome], list);
}
console.log(
  JSON.stringify({
    calls: {
      lost: await call([problem(503, "UNAVAILABLE", { "retry-after": "7" }), lost, page(502), () => Response.json([])], issue),
      once: await call([problem(503, "UNAVAILABLE")], subscribe),
      putOnce: await call([problem(503, "UNAVAILABLE")], putChannel),
      rebound: await call([problem(503, "UNAVAILABLE", { "retry-after": "1" })], rebind),
      overloaded: await call([problem(503, "OVERLOADED", { "retry-after": "1" })], subscribe),
      unreachable: await call([lost], subscribe),
      refused: await call([refused], subscribe),
      limited: await call([problem(429, "RATE_LIMITED", { "retry-after": "3600" })], issue),
      dated: await call([problem(429, "RATE_LIMITED", { date: "Tue, 24 Nov 2026 08:30:00 GMT", "retry-after": "Tue, 24 Nov 2026 08:30:09 GMT" })], issue),
      slow: await call([slow], list),
      proxied: await call([page(403, `<p>KEY${"x".repeat(300)}`)], issue),
      brokenOff: await call([brokenOff], subscribe),
      brokenOnce: await call([brokenOff, () => Response.json({ codes: [], next: null })], list),
      restored: await call([() => Response.json({ events: [], next: 5, more: false, newest: 5 })], read),
      removedTwice: await call([lost, problem(404, "NOT_FOUND")], remove("1")),
      removedLate: await call([page(502), problem(404, "NOT_FOUND")], remove("1")),
      removedLimited: await call([problem(429, "RATE_LIMITED"), problem(404, "NOT_FOUND")], remove("1")),
      removedNever: await call([problem(404, "NOT_FOUND")], remove("1")),
      deletedTwice: await call([lost, problem(404, "NOT_FOUND")], deleteChannel),
      notRemoved: await call([page(200, "<html>Maintenance")], remove("1")),
      noTable: await call([page(200, "<html>Maintenance")], readTable),
    },
    answered,
    ids: await Promise.all(ids.map((id) => call([() => new Response(null, { status: 204 })], remove(id)))),
    aborted: {
      request: await abort((request) => until(request.signal)),
      pause: await abort(async () => problem(503, "UNAVAILABLE", { "retry-after": "50" })()),
      late: await abort((request) => until(request.signal), { timeoutS: 0.001, retryForS: 0 }),
    },
    settings: settings.map(([url, key]) => nameOf(() => connect({ url, ...(key === null ? {} : { key }) }) && "connected")),
    verified: signed.map(([body, headers, secrets, now]) => nameOf(() => verifyWebhook(body, headers, secrets, { now }).id)),
    batches: batches.map(([body, headers, secrets, now]) => nameOf(() => verifySignature(body, headers, secrets, { now }))),
  }),
);
