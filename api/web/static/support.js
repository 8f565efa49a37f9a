// The support console: new events appear without a reload, the slider moves the page through time, and no form is sent
// twice. Every page works without it.

import { showLocalTimes } from "./times.js";

const RETRY_MS = 30000;
const ANNOUNCE_MS = 10000;
const SLIDER_REST_MS = 120;

const statement = document.getElementById("statement");
const slider = document.getElementById("at_event");

async function fetchPage(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!response.ok || next.getElementById("statement") === null) {
    throw new Error(response.statusText);
  }
  showLocalTimes(next);
  return { next, address: response.url };
}

function take(next, id) {
  const part = document.adoptNode(next.getElementById(id));
  const former = document.getElementById(id);
  const focused = former.contains(document.activeElement) ? document.activeElement : null;
  former.replaceWith(part);
  if (focused !== null) {
    findSame(part, focused)?.focus({ preventScroll: true });
  }
}

// The control that takes the place of another one: the same link, the same field, or the same row's summary.
function findSame(part, focused) {
  const row = focused.closest("[id]");
  const place = row === null ? null : document.getElementById(row.id);
  const links = [...part.querySelectorAll("a[href]")];
  if (focused.matches("a[href]")) {
    return links.find((link) => link.getAttribute("href") === focused.getAttribute("href"));
  }
  return place === null || place === row ? null : place.querySelector(focused.localName);
}

// What a person is writing stays as it is: a note, and the email address of a question about another time.
function takeBalance(next) {
  const asking = document.querySelector("#asking[open] [name=email]");
  const question = next.getElementById("asking");
  if (asking !== null && question !== null) {
    question.open = true;
    question.querySelector("[name=email]").value = asking.value;
  }
  const writing = document.querySelector("#balance .noting[open]");
  take(next, "balance");
  const place = document.querySelector("#balance .noting");
  if (writing !== null && place !== null) {
    place.replaceWith(writing);
  }
}

// --- The chart ---

const listPlaces = () =>
  document.getElementById("chart-over").dataset.places.trim().split(" ").map((place) => place.split(":").map(Number));

// The cursor follows the slider at once; the page of that time brings the exact place.
function showCursor() {
  const version = Number(slider.value);
  const places = [...listPlaces(), [Number(slider.max) + 1, 100]];
  const after = Math.max(places.findIndex(([each]) => each > version), 1);
  const [[from, x], [to, end]] = places.slice(after - 1, after + 1);
  const place = version === Number(slider.max) ? 100 : x + ((version - from) / (to - from)) * (end - x);
  const cursor = document.getElementById("chart-cursor");
  for (const name of ["x1", "x2"]) {
    cursor.setAttribute(name, `${place}%`);
  }
}

// The step under the pointer: the newest event before it.
function findStep(event) {
  const chart = document.getElementById("chart-over");
  const area = chart.getBoundingClientRect();
  const pointed = (100 * (event.clientX - area.left)) / area.width;
  const places = [...listPlaces(), [null, 100]];
  const index = Math.max(places.findLastIndex(([each, x]) => each !== null && x <= pointed), 0);
  return { address: chart.dataset.events + places[index][0] + chart.dataset.anchor, x: places[index][1], end: places[index + 1][1] };
}

document.addEventListener("click", (event) => {
  if (event.target.closest?.("#chart-over a") && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    location.assign(findStep(event).address);
  }
});
document.addEventListener("pointermove", (event) => {
  const marked = document.getElementById("chart-step");
  if (marked !== null) {
    const step = event.target.closest?.("#chart-over") ? findStep(event) : { x: 0, end: 0 };
    marked.setAttribute("x", `${step.x}%`);
    marked.setAttribute("width", `${step.end - step.x}%`);
  }
});

// --- New events ---

const headOf = (root) => Number(root.getElementById("statement").dataset.head);

// What is open on the page stays open: lines are added, and the list is drawn again only if all of them are new.
function addLines(next, known) {
  const lines = [...next.querySelectorAll("#flat .line")];
  const fresh = lines.filter((line) => Number(line.dataset.version) > known);
  const list = document.getElementById("flat");
  if (list === null || fresh.length === lines.length) {
    take(next, "lines");
    return;
  }
  for (const line of fresh.reverse()) {
    line.classList.add("is-new");
    list.prepend(document.adoptNode(line));
  }
  const hidden = next.querySelector(".hidden-lines");
  document.querySelector(".hidden-lines")?.remove();
  if (hidden !== null) {
    document.getElementById("lines").prepend(document.adoptNode(hidden));
  }
}

// Screen readers hear of new events when the reader pauses, and at most once in ten seconds, with the balance of then.
let unannounced = 0;
let announcing = null;

function announce(number) {
  unannounced += number;
  if (announcing !== null || unannounced === 0) {
    return;
  }
  const [used, reserved, free] = [...document.querySelectorAll("#figures dd")].map((cell) => cell.firstChild.data.trim());
  const words = { n: unannounced, used, reserved, free };
  const news = document.getElementById("news");
  news.textContent = news.dataset.text.replace(/\{(\w+)\}/g, (_, name) => words[name]);
  unannounced = 0;
  announcing = setTimeout(() => {
    announcing = null;
    announce(0);
  }, ANNOUNCE_MS);
}

// The same page as of now. Forms stay, since what the server sends is the same for all viewers.
function renew(next) {
  const known = Number(statement.dataset.head);
  const head = headOf(next);
  if (head <= known || statement.dataset.live !== "yes") {
    return;
  }
  addLines(next, known);
  for (const part of next.querySelectorAll("[data-renewed]")) {
    if (document.getElementById(part.id) !== null) {
      take(next, part.id);
    }
  }
  take(next, "chart");
  statement.dataset.head = head;
  slider.max = head; // before the value, which it bounds
  slider.value = head;
  showPlace();
  announce(head - known);
}

let source = null;
let retry = null;

function stop() {
  source?.close();
  source = null;
  clearTimeout(retry);
}

function listen() {
  stop();
  if (document.hidden || statement.dataset.live !== "yes") {
    return;
  }
  const address = new URL(statement.dataset.stream, location.href);
  address.searchParams.set("after", statement.dataset.head);
  source = new EventSource(address);
  source.addEventListener("news", (event) => {
    const next = new DOMParser().parseFromString(JSON.parse(event.data), "text/html");
    showLocalTimes(next);
    renew(next);
  });
  source.addEventListener("ended", () => {
    stop();
    const stopped = document.getElementById("stopped");
    stopped.className = "as-of";
    stopped.textContent = stopped.dataset.text;
  });
  source.addEventListener("error", () => {
    if (source?.readyState === EventSource.CLOSED) {
      retry = setTimeout(lookAndListen, RETRY_MS);
    }
  });
}

// Where no stream can be opened, the page looks for itself, seldom.
async function lookAndListen() {
  try {
    const response = await fetch(statement.dataset.versionSource, { cache: "no-store" });
    const { version } = await response.json();
    if (version > Number(statement.dataset.head)) {
      renew((await fetchPage(location.href)).next);
    }
  } catch {
    // The next look follows.
  }
  listen();
}

// --- The slider ---

function showPlace() {
  document.getElementById("at_event_shown").textContent = `${slider.value} / ${slider.max}`;
}

let resting = null;
let asked = 0;

async function travel() {
  asked += 1;
  const mine = asked;
  const words = new FormData(slider.form);
  const isNow = slider.value === slider.max;
  if (isNow) {
    words.delete("at_event");
  }
  const { next, address } = await fetchPage(`?${new URLSearchParams(words)}`);
  if (mine !== asked) {
    return;
  }
  takeBalance(next);
  take(next, "chart");
  take(next, "lines");
  statement.dataset.live = next.getElementById("statement").dataset.live;
  statement.dataset.head = headOf(next);
  history.replaceState(null, "", address);
  listen();
}

if (statement !== null) {
  listen();
  slider.addEventListener("input", () => {
    showPlace();
    showCursor();
    clearTimeout(resting);
    resting = setTimeout(() => travel().catch(() => slider.form.submit()), SLIDER_REST_MS);
  });
  // A tab in the background has no connection and asks for nothing.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => event.persisted && listen());
}

// --- Folded lines ---

// Browsers open what hides the target of a link; older ones need this.
function reveal() {
  document.getElementById(location.hash.slice(1))?.closest(".fold > details")?.setAttribute("open", "");
}
reveal();
addEventListener("hashchange", reveal);

// --- The stored form of an event, which its own page has ---

async function showStored(place, link) {
  const response = await fetch(link.href, { cache: "no-store" });
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const stored = next.querySelector("pre.raw");
  if (stored !== null && place.querySelector("pre") === null) {
    place.append(document.adoptNode(stored));
  }
}

// "toggle" does not bubble, so it is caught on its way down.
document.addEventListener(
  "toggle",
  ({ target }) => {
    const link = target.querySelector?.(":scope > p > a[data-raw]");
    if (link && target.open && target.querySelector("pre") === null) {
      showStored(target, link).catch(() => {}); // the link stays, and leads to the page that has it
    }
  },
  true,
);

// --- Forms that change something ---

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-download")) {
      return; // the page stays, so its buttons do too
    }
    if (form.querySelector("[aria-disabled=true]") !== null) {
      event.preventDefault();
    }
    event.submitter?.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => form.querySelector("[aria-disabled]")?.removeAttribute("aria-disabled"));
}

// Browsers have a clipboard on pages with TLS, and of this computer.
for (const part of navigator.clipboard ? document.querySelectorAll("[data-copyable]") : []) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "quiet copy", textContent: part.dataset.copyable });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(part.textContent);
    button.textContent = part.dataset.copied;
  });
  part.after(" ", button);
}

document.getElementById("notice")?.focus();

// --- Proofs ---

// After the page is shown; at its end, so that they also run from a saved page.
for (const src of document.getElementById("proof")?.dataset.scripts.split(" ") ?? []) {
  document.body.append(Object.assign(document.createElement("script"), { src, async: false }));
}
