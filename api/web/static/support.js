// The support desk: new events appear by themselves, the slider moves the page through time, replies are copied,
// and no form is sent twice. Every page works without it.

import { showLocalTimes } from "./times.js";

const POLL_MS = 3000;
const POLL_LONGEST_MS = 30000;
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
  document.getElementById(id).replaceWith(part);
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
  return { address: chart.dataset.events + places[index][0], x: places[index][1], end: places[index + 1][1] };
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

// What is open on the page stays open: lines are added, not drawn anew, unless all of the page are new.
function addLines(next, known) {
  const lines = [...next.querySelectorAll("#flat > .line")];
  const fresh = lines.filter((line) => Number(line.dataset.version) > known);
  const list = document.getElementById("flat");
  if (list === null || fresh.length === lines.length || next.querySelector(".hidden-lines") !== null) {
    const open = [...document.querySelectorAll("#flat > .line:has(details[open])")].map((line) => line.id);
    take(next, "lines");
    for (const id of open) {
      const details = document.querySelector(`#${id} details`);
      details?.setAttribute("open", "");
    }
    return;
  }
  for (const line of fresh.reverse()) {
    line.classList.add("is-new");
    list.prepend(document.adoptNode(line));
  }
}

async function look() {
  const response = await fetch(statement.dataset.versionSource, { cache: "no-store" });
  const { version } = await response.json();
  const known = Number(statement.dataset.head);
  if (version <= known) {
    return false;
  }
  const { next } = await fetchPage(location.href);
  addLines(next, known);
  takeBalance(next);
  take(next, "chart");
  statement.dataset.head = headOf(next);
  slider.max = headOf(next); // before the value, which it bounds
  slider.value = slider.max;
  showPlace();
  document.getElementById("news").textContent = document.getElementById("news").dataset.text;
  return true;
}

async function poll(wait) {
  let next = Math.min(wait * 1.2, POLL_LONGEST_MS);
  if (!document.hidden && statement.dataset.live === "yes") {
    try {
      next = (await look()) ? POLL_MS : next;
    } catch {
      next = POLL_LONGEST_MS;
    }
  }
  setTimeout(poll, next, next);
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
}

if (statement !== null) {
  setTimeout(poll, POLL_MS, POLL_MS);
  slider.addEventListener("input", () => {
    showPlace();
    showCursor();
    clearTimeout(resting);
    resting = setTimeout(() => travel().catch(() => slider.form.submit()), SLIDER_REST_MS);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && statement.dataset.live === "yes") {
      look().catch(() => {});
    }
  });
}

// --- Sliders that choose an event ---

for (const range of document.querySelectorAll("input[type=range][data-shown]")) {
  range.addEventListener("input", () => {
    document.getElementById(range.dataset.shown).textContent = `${range.value} / ${range.max}`;
  });
}

// --- Copying ---

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.textContent;
  button.hidden = navigator.clipboard === undefined;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
    setTimeout(() => {
      button.textContent = label;
    }, 2000);
  });
}

// --- Work that goes on step by step ---

for (const form of document.querySelectorAll("form[data-goes-on]")) {
  setTimeout(() => form.requestSubmit(), 300);
}

// --- Forms that change something ---

for (const form of document.querySelectorAll("form[data-once]")) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
    }
    button.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => button.removeAttribute("aria-disabled"));
}

document.getElementById("notice")?.focus();
