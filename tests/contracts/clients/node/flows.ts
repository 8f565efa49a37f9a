// What integrators do, by the client that openapi-typescript and openapi-fetch make of the OpenAPI document.
// Every response goes to standard output, one JSON line each: the test decodes it, and compares all with the document.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./build/ledger.js";

type Schemas = components["schemas"];
type Media = "application/json" | "application/problem+json";
type Api = Client<paths, Media>;
type Result<T> = { data?: T; error?: unknown; response: Response };
type Refusal = { error?: Schemas["Problem"]; response: Response };
type Page = { next: string | null };
interface AttemptedUse {
  reservation_id: string;
  code: string;
  code_id: string;
  email: string;
  correction_token: string;
}
interface World {
  url: string;
  key: string;
  staff_cookie: string;
  sent: AttemptedUse[];
  unknown: AttemptedUse[];
  hand_out_id: string;
  handed_code_id: string;
  endpoint_id: string;
  delivery_id: string;
}

const worldFile = process.argv[2];
assert(worldFile);
const world: World = JSON.parse(readFileSync(worldFile, "utf-8"));
const TARGET = "http://127.0.0.1:1/hooks";
const NO_ID = "00000000-0000-0000-0000-000000000007";

const recorder: Middleware = {
  async onResponse({ request, response, schemaPath }) {
    const body = await response.clone().text();
    const media = response.headers.get("content-type") ?? "";
    console.log(JSON.stringify({ method: request.method, path: schemaPath, status: response.status, media, body }));
  },
};

function connect(headers: Record<string, string>): Api {
  const client = createClient<paths, Media>({
    baseUrl: world.url,
    headers: { "accept-language": "en", ...headers },
  });
  client.use(recorder);
  return client;
}

const api = connect({ authorization: world.key });

function ok<T>({ data, error, response }: Result<T>, status = response.status): T {
  assert.equal(response.status, status, JSON.stringify(error));
  assert(response.ok && data !== undefined, JSON.stringify(error));
  return data;
}

function problem({ error, response }: Refusal, status: number, code: Schemas["Problem"]["code"]): void {
  assert.deepEqual([response.status, error?.code], [status, code]);
}

function nth<T>(list: T[], place: number): T {
  const item = list[place];
  assert(item !== undefined);
  return item;
}

async function follow<P extends Page>(read: (cursor?: string) => Promise<Result<P>>): Promise<P[]> {
  const pages = [ok(await read())];
  for (let next = nth(pages, 0).next; next !== null; ) {
    const page = ok(await read(next));
    pages.push(page);
    next = page.next;
  }
  return pages;
}

async function issue(terms: Partial<Schemas["IssueRequest"]> = {}): Promise<Schemas["IssuedCode"]> {
  const body = { max_uses: 1, count: 1, open: false, prefix: "", ...terms };
  return nth(ok(await api.POST("/api/v1/codes", { body }), 201), 0);
}

async function redeem(code: string, email: string): Promise<Schemas["RedemptionView"]> {
  return ok(await api.POST("/api/v1/redemptions", { body: { code, email } }), 202);
}

async function issueABatch(): Promise<void> {
  const header = { "idempotency-key": "ts-batch" };
  const body = { count: 3, max_uses: 2, open: false, prefix: "FAIR", validity_days: 30, note: "spring fair" };
  const first = ok(await api.POST("/api/v1/codes", { params: { header }, body }), 201);
  const again = ok(await api.POST("/api/v1/codes", { params: { header }, body }), 201);
  const other = await api.POST("/api/v1/codes", { params: { header }, body: { ...body, count: 2 } });
  assert.deepEqual(first, again);
  problem(other, 422, "IDEMPOTENCY_KEY_REUSED");
}

async function redeemInPublic(): Promise<void> {
  const { code } = await issue();
  const body = { code, email: "lee.wei@example.org" };
  const first = ok(await api.POST("/api/v1/public/redeem", { body }), 202);
  ok(await api.POST("/api/v1/public/redeem", { body }), 200);
  problem(await api.POST("/api/v1/public/redeem", { body: { code, email: "else@example.org" } }), 400, "CODE_HELD");
  const path = { reservation_id: first.reservation_id };
  assert.equal(ok(await api.GET("/api/v1/public/redemptions/{reservation_id}", { params: { path } })).state, "reserved");
  const url = "/api/v1/public/redemptions/{reservation_id}/correct-recipient";
  const correction = { code, email: "li.wei@example.org", correction_token: first.correction_token ?? null };
  ok(await api.POST(url, { params: { path }, body: correction }), 202);
  ok(await api.POST(url, { params: { path }, body: correction }), 200);
  const without = await api.POST(url, { params: { path }, body: { code, email: "no@example.org" } });
  problem(without, 400, "CORRECTION_TOKEN_REQUIRED");
  const stream = await api.GET("/api/v1/public/redemptions/{reservation_id}/stream", {
    params: { path },
    parseAs: "text",
  });
  assert.match(ok(stream), /"refunded"/);
}

async function redeemOnBehalf(): Promise<void> {
  const [code, free] = [(await issue()).code, (await issue()).code];
  const email = "mei@example.org";
  const first = await redeem(code, email);
  const again = ok(await api.POST("/api/v1/redemptions", { body: { code, email } }), 200);
  assert.equal(first.reservation_id, again.reservation_id);
  const items = [{ code: free, email, key: "ts-order" }, { code, email }, { code: "NO-SUCH-CODE", email }];
  const batch = ok(await api.POST("/api/v1/redemptions/batch", { body: { items } }));
  assert.deepEqual(batch.results.map((each) => each.status), [202, 200, 400]);
}

async function importCodes(): Promise<void> {
  const body = "code,max_uses\nTS-OLD,3\n";
  const file = { body, bodySerializer: String, headers: { "content-type": "text/csv" } };
  const preview = await api.POST("/api/v1/codes/import", { ...file, params: { query: { dry_run: true } } });
  assert.equal(ok(preview).applied, false);
  assert.equal(ok(await api.POST("/api/v1/codes/import", file)).imported, 1);
}

async function listCodes(): Promise<void> {
  const group = "ts-pages";
  const issued = ok(
    await api.POST("/api/v1/codes", { body: { count: 5, max_uses: 1, open: false, prefix: "", group } }),
  );
  const pages = await follow((cursor) =>
    api.GET("/api/v1/codes", { params: { query: { limit: 2, group, cursor: cursor ?? null } } }),
  );
  assert.deepEqual(new Set(pages.flatMap((page) => page.codes.map((code) => code.id))), new Set(issued.map((code) => code.id)));
  assert.deepEqual(pages.map((page) => page.codes.length), [2, 2, 1]);
}

async function changeTerms(): Promise<void> {
  const path = { code_id: (await issue()).id };
  const params = { path };
  const extended = ok(await api.PATCH("/api/v1/codes/{code_id}", { params, body: { max_uses: 5, expires_at: "2090-01-01T00:00:00Z" } }));
  assert.equal(extended.max_uses, 5);
  const limits = { params: { path, query: { max_uses: 5 } } };
  const preview = ok(await api.GET("/api/v1/codes/{code_id}/limit-preview", limits));
  assert.deepEqual(preview.choices.map((choice) => choice.counting), ["all", "from_now"]);
  const terms = await api.GET("/api/v1/codes/{code_id}/terms", { params });
  const whole = { ...ok(terms), max_uses: 6, expires_at: null };
  problem(await api.PUT("/api/v1/codes/{code_id}/terms", { params, body: whole }), 428, "PRECONDITION_REQUIRED");
  const header = { "if-match": terms.response.headers.get("etag") };
  ok(await api.PUT("/api/v1/codes/{code_id}/terms", { params: { path, header }, body: whole }));
  problem(await api.PUT("/api/v1/codes/{code_id}/terms", { params: { path, header }, body: whole }), 412, "TERMS_CHANGED");
  const states = [
    ok(await api.POST("/api/v1/codes/{code_id}/pause", { params, body: { note: "a test" } })).state,
    ok(await api.POST("/api/v1/codes/{code_id}/resume", { params })).state,
    ok(await api.POST("/api/v1/codes/{code_id}/notes", { params, body: { note: "by phone" } })).state,
    ok(await api.POST("/api/v1/codes/{code_id}/revoke", { params, body: {} })).state,
  ];
  assert.deepEqual(states, ["paused", "active", "active", "revoked"]);
}

async function readAHistory(): Promise<void> {
  const path = { code_id: nth(world.sent, 0).code_id };
  const types: string[] = [];
  for (let after = 0, more = true; more; ) {
    const page = ok(await api.GET("/api/v1/codes/{code_id}/history", { params: { path, query: { after, limit: 1 } } }));
    types.push(...page.events.map((event) => event.type));
    more = page.events.length > 0;
    after = page.events.at(-1)?.version ?? after;
  }
  assert.deepEqual(types.slice(0, 2), ["CodeIssued", "UseReserved"]);
  const csv = { params: { path, query: { format: "csv" } }, parseAs: "text" } as const;
  const table: string = ok(await api.GET("/api/v1/codes/{code_id}/history", csv));
  assert.equal(table.trim().split("\n").length, types.length + 1);
  ok(await api.GET("/api/v1/codes/{code_id}/explain", csv));
  assert.equal(ok(await api.GET("/api/v1/codes/{code_id}/explain", { params: { path } })).used_count, 1);
  const query = { email: "new@example.org" };
  assert.equal(ok(await api.GET("/api/v1/codes/{code_id}/what-if", { params: { path, query } })).would, "EMAIL_MISMATCH");
  ok(await api.GET("/api/v1/codes/{code_id}", { params: { path } }));
  problem(await api.GET("/api/v1/codes/{code_id}", { params: { path: { code_id: NO_ID } } }), 404, "NOT_FOUND");
}

async function actOnReservations(): Promise<void> {
  const about = (reservation_id: string) => ({ params: { path: { reservation_id } } });
  const [refunded, resent, moved, corrected] = [0, 1, 2, 3].map((place) => about(nth(world.sent, place).reservation_id));
  assert(refunded && resent && moved && corrected);
  const pending = about((await redeem((await issue()).code, "cancel@example.org")).reservation_id);
  const refund = { note: "returned", revoke_access: true };
  const link = await api.POST("/api/v1/reservations/{reservation_id}/reveal-link", { ...resent, body: { reason: "asked by phone" } });
  assert.match(ok(link).link, /\/a\/[\w-]{46}$/);
  const answers = [
    ok(await api.POST("/api/v1/reservations/{reservation_id}/notes", { ...pending, body: { note: "by phone" } })),
    ok(await api.POST("/api/v1/reservations/{reservation_id}/cancel", { ...pending, body: { note: "twice" } })),
    ok(await api.POST("/api/v1/reservations/{reservation_id}/refund", { ...refunded, body: refund })),
    ok(await api.POST("/api/v1/reservations/{reservation_id}/resend", resent)),
    ok(await api.POST("/api/v1/reservations/{reservation_id}/correct-recipient", { ...corrected, body: { email: "right@example.org" } })),
    ok(await api.POST("/api/v1/reservations/{reservation_id}/rebind", { ...moved, body: { group: "blue" } })),
  ];
  assert.deepEqual(answers.map((answer) => answer.state), ["reserved", "refunded", "refunded", "sent", "reserved", "reserved"]);
  const twice = await api.POST("/api/v1/reservations/{reservation_id}/refund", { ...refunded, body: refund });
  problem(twice, 409, "RESERVATION_NOT_REFUNDABLE");
  assert.equal(ok(await api.GET("/api/v1/reservations/{reservation_id}", refunded)).state, "refunded");
  const use = nth(world.sent, 4);
  const body = { email: use.email, code: use.code, group: "blue", correction_token: use.correction_token };
  ok(await api.POST("/api/v1/public/rebind", { body }), 202);
  ok(await api.POST("/api/v1/public/rebind", { body }), 200);
}

async function resolveCases(): Promise<void> {
  const path = { reservation_id: nth(world.sent, 5).reservation_id };
  const bounce = { delivery: 1, reason: "mailbox_unknown", reply: "no such user" } as const;
  ok(await api.POST("/api/v1/reservations/{reservation_id}/bounce", { params: { path }, body: bounce }));
  const open = ok(await api.GET("/api/v1/cases", { params: { query: { limit: 1 } } }));
  assert.deepEqual(open.cases.map((each) => each.reservation_id), [path.reservation_id]);
  const url = "/api/v1/reservations/{reservation_id}/resolve";
  const refunded = ok(await api.POST(url, { params: { path }, body: { as: "refunded", note: "by phone" } }));
  const lost = { reservation_id: nth(world.unknown, 0).reservation_id };
  const sent = ok(await api.POST(url, { params: { path: lost }, body: { as: "sent", note: "it arrived" } }));
  assert.deepEqual([refunded.state, sent.state], ["refunded", "sent"]);
}

async function readApprovals(): Promise<void> {
  const waiting = nth(ok(await api.GET("/api/v1/approvals", { params: { query: { limit: 1 } } })).approvals, 0);
  const path = { approval_id: waiting.id };
  assert.deepEqual(ok(await api.GET("/api/v1/approvals/{approval_id}", { params: { path } })), waiting);
  assert.deepEqual([waiting.kind, waiting.state], ["export_person", "waiting"]);
}

async function listReservations(): Promise<void> {
  const issued = await issue({ max_uses: 3, open: true });
  const made: string[] = [];
  for (const name of ["a", "b", "c"]) {
    made.push((await redeem(issued.code, `${name}@example.org`)).reservation_id);
  }
  const pages = await follow((cursor) =>
    api.GET("/api/v1/reservations", {
      params: { query: { limit: 2, code_id: issued.id, status: "live", cursor: cursor ?? null } },
    }),
  );
  assert.deepEqual(pages.flatMap((page) => page.reservations.map((each) => each.reservation_id)), made);
}

async function refundAnOutage(): Promise<void> {
  const window = { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z", include_sent: false };
  assert.equal(ok(await api.POST("/api/v1/refunds", { body: { ...window, apply: false } })).applied, false);
  assert.equal(ok(await api.POST("/api/v1/refunds", { body: { ...window, apply: true } })).applied, true);
}

async function runACampaign(): Promise<void> {
  const terms = { name: "Autumn", max_uses: 10, max_per_person: 1, code_validity_days: 30 };
  const params = { header: { "Idempotency-Key": "ts-autumn" } };
  const campaign = ok(await api.POST("/api/v1/campaigns", { params, body: terms }), 201);
  const about = { params: { path: { campaign_id: campaign.id } } };
  const changed = ok(await api.PATCH("/api/v1/campaigns/{campaign_id}", { ...about, body: { max_uses: 20 } }));
  assert.deepEqual([changed.max_uses, changed.max_per_person], [20, 1]);
  const [joined, issued] = [await issue(), await issue({ campaign: campaign.id })];
  const path = { code_id: joined.id };
  ok(await api.POST("/api/v1/codes/{code_id}/join-campaign", { params: { path }, body: { campaign: campaign.id } }));
  await redeem(issued.code, "li.wei@example.org");
  const second = { code: joined.code, email: "li.wei@example.org" };
  problem(await api.POST("/api/v1/public/redeem", { body: second }), 400, "PERSON_LIMIT");
  const limits = { params: { ...about.params, query: { max_uses: 5 } } };
  const preview = ok(await api.GET("/api/v1/campaigns/{campaign_id}/limit-preview", limits));
  assert.deepEqual(preview.choices.map((choice) => choice.counting), ["all", "from_now"]);
  ok(await api.POST("/api/v1/campaigns/{campaign_id}/pause", about));
  ok(await api.POST("/api/v1/campaigns/{campaign_id}/resume", about));
  assert.equal(ok(await api.POST("/api/v1/campaigns/{campaign_id}/end", about)).state, "ended");
  assert.equal(ok(await api.GET("/api/v1/campaigns/{campaign_id}", about)).reserved, 1);
  const csv = { params: { ...about.params, query: { format: "csv" } }, parseAs: "text" } as const;
  const history = ok(await api.GET("/api/v1/campaigns/{campaign_id}/history", about));
  assert.equal(ok(await api.GET("/api/v1/campaigns/{campaign_id}/history", csv)).trim().split("\n").length, history.events.length + 1);
  assert.equal(ok(await api.GET("/api/v1/campaigns/{campaign_id}/explain", about)).reserved, 1);
  ok(await api.GET("/api/v1/campaigns/{campaign_id}/explain", csv));
  const pages = await follow((cursor) =>
    api.GET("/api/v1/campaigns", { params: { query: { limit: 1, cursor: cursor ?? null } } }),
  );
  assert.equal(pages.length, 2);
}

async function runAHandOut(): Promise<void> {
  const campaign = ok(await api.POST("/api/v1/campaigns", { body: { name: "Newsletter" } })).id;
  const texts = { en: { subject: "For {name}", text: "Dear {name}, your code: {code}" } };
  const order = { campaign, name: "Spring", per_minute: 60, max_uses: 1, open: false, existing_codes: false, draft: false, texts };
  const created = ok(await api.POST("/api/v1/hand-outs", { body: order }), 201);
  const path = { hand_out_id: created.id };
  const query = { hand_out: created.id, language: "en" } as const;
  const recipients = [{ email: "a@example.org", language: "en" as const, variables: { name: "Anna" } }];
  const added = ok(await api.POST("/api/v1/hand-outs/recipients", { params: { query }, body: { recipients } })).added;
  const file = { body: "email,name\nb@example.org,Ben\n", bodySerializer: String, headers: { "content-type": "text/csv" } };
  assert.deepEqual([added, ok(await api.POST("/api/v1/hand-outs/recipients", { params: { query }, ...file })).added], [1, 1]);
  ok(await api.PATCH("/api/v1/hand-outs/{hand_out_id}", { params: { path }, body: { per_minute: 30 } }));
  const preview = ok(await api.GET("/api/v1/hand-outs/{hand_out_id}/preview", { params: { path, query: { language: "en" } } }));
  assert.match(preview.subject, /^For /);
  ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/test", { params: { path }, body: { email: "me@example.org" } }));
  const states = [
    ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/pause", { params: { path } })).state,
    ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/resume", { params: { path } })).state,
    ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/end", { params: { path } })).state,
  ];
  assert.deepEqual(states, ["paused", "running", "ended"]);
  assert.equal(ok(await api.GET("/api/v1/hand-outs/{hand_out_id}", { params: { path } })).recipients, 2);
  assert.equal(ok(await api.GET("/api/v1/hand-outs", { params: { query: { campaign } } })).hand_outs.length, 1);
}

async function giveAnExistingCode(): Promise<void> {
  const campaign = ok(await api.POST("/api/v1/campaigns", { body: { name: "Existing codes" } })).id;
  const order = { campaign, name: "Printed", max_uses: null, open: false, existing_codes: true, draft: false };
  const path = { hand_out_id: ok(await api.POST("/api/v1/hand-outs", { body: order })).id };
  const { id, code } = await issue({ campaign });
  const body = { code, email: "li.wei@example.org", language: "zh" as const, variables: { name: "Li" } };
  assert.equal(ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/codes", { params: { path }, body })).code_id, id);
}

async function followRecipients(): Promise<void> {
  const path = { hand_out_id: world.hand_out_id };
  const listed: string[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const query: { limit: number; after: number } = { limit: 1, after };
    const result = await api.GET("/api/v1/hand-outs/{hand_out_id}/recipients", { params: { path, query } });
    const page: Schemas["RecipientPage"] = ok(result);
    listed.push(...page.recipients.map((each) => each.code_id));
    after = page.next;
  }
  assert.equal(listed.length, 2);
  const code = { params: { path: { ...path, code_id: world.handed_code_id } } };
  const bounced = ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/bounce", code));
  const resent = ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/resend", code));
  assert.deepEqual([bounced.state, resent.state], ["bounced", "queued"]);
  const reason = { params: { path }, body: { reason: "a newsletter" }, parseAs: "text" } as const;
  assert.equal(ok(await api.POST("/api/v1/hand-outs/{hand_out_id}/export", reason)).trim().split("\n").length, 3);
}

async function brandAGroup(): Promise<void> {
  const logo = "R0lGODlhAQABAIAAALAwHP///ywAAAAAAQABAAACAkQBADs=";
  const changed = ok(await api.PATCH("/api/v1/groups/branding", { body: { group: "red", logo, accent: "#1f5fbf" } }));
  const read = ok(await api.GET("/api/v1/groups/branding", { params: { query: { group: "red" } } }));
  assert.deepEqual([read, read.logo?.data, read.accent], [changed, logo, "#1f5fbf"]);
}

async function connectAGroup(): Promise<void> {
  const channel = ok(await api.PUT("/api/v1/channels", { body: { group: "red", kind: "webhook", url: TARGET } }));
  const about = { params: { path: { channel_id: channel.id } } };
  const { secret } = ok(await api.POST("/api/v1/channels/{channel_id}/rotate-secret", about));
  assert(secret);
  assert.equal(ok(await api.GET("/api/v1/channels")).channels.length, 1);
  const body = { type: "invite.accepted", data: { reservation_id: nth(world.sent, 6).reservation_id } } as const;
  const [id, at] = ["ts-report", String(Math.floor(Date.now() / 1000))];
  const signer = createHmac("sha256", Buffer.from(secret.replace("whsec_", ""), "base64"));
  const signature = `v1,${signer.update(`${id}.${at}.${JSON.stringify(body)}`).digest("base64")}`;
  const header = { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature };
  const url = "/api/v1/channels/{channel_id}/callbacks";
  assert.equal(ok(await api.POST(url, { params: { ...about.params, header }, body })).changed, true);
  const forged = { ...header, "webhook-id": "ts-other" };
  problem(await api.POST(url, { params: { ...about.params, header: forged }, body }), 401, "SIGNATURE_INVALID");
  assert.equal(ok(await api.DELETE("/api/v1/channels/{channel_id}", about)).on, false);
}

async function reportByAMailProvider(): Promise<void> {
  const url = "/api/v1/callbacks/mail/{provider}";
  const params = { path: { provider: "postmark" as const } };
  const body = { RecordType: "Bounce", Type: "HardBounce", Metadata: { delivery: "a".repeat(47) } } as never;
  const headers = { Authorization: `Basic ${Buffer.from("postmark:only-for-tests").toString("base64")}` };
  assert.deepEqual(ok(await api.POST(url, { params, body, headers })), { taken: 0, ignored: 1 });
  problem(await api.POST(url, { params, body }), 401, "SIGNATURE_INVALID");
}

async function runWebhooks(): Promise<void> {
  const order = { url: TARGET, event_types: ["InviteSent" as const], concurrency: 2 };
  const endpoint = ok(await api.POST("/api/v1/webhooks", { body: order }), 201);
  const about = { params: { path: { endpoint_id: endpoint.id } } };
  const disabled = ok(await api.PATCH("/api/v1/webhooks/{endpoint_id}", { ...about, body: { state: "disabled" } }));
  assert.equal(disabled.state, "disabled");
  ok(await api.POST("/api/v1/webhooks/{endpoint_id}/rotate-secret", about));
  assert.equal(ok(await api.POST("/api/v1/webhooks/{endpoint_id}/test", about)).taken, false);
  ok(await api.GET("/api/v1/webhooks/{endpoint_id}", about));
  assert.equal(ok(await api.GET("/api/v1/webhooks")).webhooks.length, 2);
  assert.equal((await api.DELETE("/api/v1/webhooks/{endpoint_id}", about)).response.status, 204);
  const path = { endpoint_id: world.endpoint_id };
  assert.equal(ok(await api.GET("/api/v1/webhooks/{endpoint_id}/deliveries", { params: { path } })).deliveries.length, 2);
  const one = { params: { path: { ...path, delivery_id: world.delivery_id } } };
  ok(await api.POST("/api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver", one));
  assert.equal(ok(await api.POST("/api/v1/webhooks/{endpoint_id}/redeliver-failed", { params: { path } })).count, 1);
}

async function readEvents(): Promise<void> {
  const positions: number[] = [];
  for (let after = 0, more = true; more; ) {
    const page = ok(await api.GET("/api/v1/events", { params: { query: { after, limit: 20 } } }));
    positions.push(...page.events.map((event) => event.position));
    [after, more] = [page.next, page.more];
  }
  assert.deepEqual(positions, [...new Set(positions)].sort((one, other) => one - other));
  const wrapped = { after: nth(positions, positions.length - 3), format: "cloudevents" as const };
  const batch: unknown = ok(await api.GET("/api/v1/events", { params: { query: wrapped } }));
  assert(Array.isArray(batch) && batch.length === 2);
  const query = { after: nth(positions, positions.length - 2), seconds: 1 };
  const stream: string = ok(await api.GET("/api/v1/events/stream", { params: { query }, parseAs: "text" }));
  assert(stream.includes(`id: ${positions.at(-1)}\n`));
  const listed = ok(await api.GET("/api/v1/schemas"));
  assert.equal(nth([listed.events["UseReserved"]], 0), "/api/v1/schemas/UseReserved");
  const event = { params: { path: { name: "UseReserved" } } };
  assert.equal(ok(await api.GET("/api/v1/schemas/{name}", event))["title"], "UseReserved");
  assert.equal(ok(await api.GET("/api/v1/schemas/asyncapi"))["asyncapi"], "3.0.0");
  const message = { params: { path: { name: "webhook.test" } } };
  assert.equal(ok(await api.GET("/api/v1/schemas/webhooks/{name}", message))["title"], "webhook.test");
}

async function exportAndForget(): Promise<void> {
  const body = { email: nth(world.sent, 7).email, reason: "by mail" };
  assert.equal(ok(await api.POST("/api/v1/recipients/export", { body })).people.length, 1);
  assert.equal(ok(await api.POST("/api/v1/recipients/forget", { body })).forgotten.length, 1);
}

async function signIn(): Promise<void> {
  assert.equal(ok(await api.GET("/api/v1/session")).kind, "key");
  const staff = connect({ cookie: world.staff_cookie });
  const session = ok(await staff.GET("/api/v1/session"));
  assert(session.csrf_token);
  problem(await staff.POST("/api/v1/campaigns", { body: { name: "Staff" } }), 403, "FORBIDDEN");
  const headers = { "x-csrf-token": session.csrf_token };
  ok(await staff.POST("/api/v1/campaigns", { body: { name: "Staff" }, headers }), 201);
  problem(await connect({}).GET("/api/v1/session"), 401, "UNAUTHORIZED");
  assert.equal(ok(await api.GET("/healthz"))["status"], "alive");
  assert.equal(ok(await api.GET("/readyz")).status, "degraded");
  assert.match(ok(await api.GET("/metrics", { parseAs: "text" })), /ledger_/);
}

async function waitForAUse(): Promise<void> {
  const campaign = ok(await api.POST("/api/v1/campaigns", { body: { name: "Full", max_uses: 1, waiting_hours: 24 } }), 201);
  const { code } = await issue({ campaign: campaign.id, max_uses: 9, open: true });
  await redeem(code, "first@example.org");
  const body = { code, email: "second@example.org" };
  assert.equal(ok(await api.POST("/api/v1/public/waiting-list", { body })).ahead, 0);
  const about = { params: { path: { campaign_id: campaign.id } } };
  const places = ok(await api.GET("/api/v1/campaigns/{campaign_id}/waiting-list", about)).places;
  const place = { campaign_id: campaign.id, place_id: nth(places, 0).place_id };
  const remove = "/api/v1/campaigns/{campaign_id}/waiting-list/{place_id}/remove" as const;
  const left = ok(await api.POST(remove, { params: { path: place }, body: { note: "asked" } }));
  assert.deepEqual([places.length, left.places.length], [1, 0]);
}

const flows = [
  ...[issueABatch, redeemInPublic, redeemOnBehalf, importCodes, listCodes, changeTerms, readAHistory],
  ...[actOnReservations, resolveCases, readApprovals, listReservations, refundAnOutage, runACampaign, waitForAUse, runAHandOut],
  ...[giveAnExistingCode, followRecipients, brandAGroup, connectAGroup, reportByAMailProvider, runWebhooks, readEvents, exportAndForget, signIn],
];
for (const flow of flows) {
  console.log(flow.name);
  await flow();
}
