// Keeps the status page true: server-sent events, or polling where they don't get through. The page itself is
// always drawn by the server; here we only notice that something changed, and fetch it anew.

import { showLocalTimes, tellZone } from "./times.js";

const POLL_FIRST_MS = 1000;
const POLL_LONGEST_MS = 10000;

const offline = document.getElementById("offline");
const news = document.getElementById("news");
const slip = () => document.getElementById("slip");

let known = null;
let queue = Promise.resolve();

const isLive = () => slip().dataset.live === "yes";

async function redraw() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!response.ok) {
    throw new Error(response.statusText);
  }
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const sheet = document.adoptNode(next.getElementById("slip"));
  const heading = (root) => root.querySelector("#heading").textContent;
  const isNews = heading(sheet) !== heading(slip());
  sheet.classList.toggle("is-new", isNews);
  showLocalTimes(sheet);
  slip().replaceWith(sheet);
  tellZone();
  document.title = next.title;
  if (isNews) {
    news.textContent = `${heading(sheet)} ${sheet.querySelector("#message").textContent}`;
  }
}

// `text` is the reservation as the API tells it; the first one only confirms what the page shows, unless it doesn't.
async function compare(text) {
  const isSame = known === null ? JSON.parse(text).state === slip().dataset.state : known === text;
  if (!isSame) {
    await redraw();
  }
  known = text;
  offline.textContent = "";
}

// One after the other: two redraws at once could end in the older one.
function onView(text) {
  queue = queue.catch(() => {}).then(() => compare(text));
  return queue;
}

function lost() {
  offline.textContent = offline.dataset.text;
}

async function poll(wait) {
  if (!isLive()) {
    return;
  }
  let next = Math.min(wait * 1.5, POLL_LONGEST_MS);
  try {
    const response = await fetch(slip().dataset.source, { cache: "no-store" });
    const before = known;
    await onView(await response.text());
    next = known === before ? next : POLL_FIRST_MS;
  } catch {
    lost();
  }
  setTimeout(poll, next, next);
}

function listen() {
  const source = new EventSource(`${slip().dataset.source}/stream`);
  source.addEventListener("message", async (event) => {
    try {
      await onView(event.data);
    } catch {
      lost();
    }
    if (!isLive()) {
      source.close();
    }
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) {
      poll(POLL_FIRST_MS);
    }
  });
}

if (isLive()) {
  if ("EventSource" in window) {
    listen();
  } else {
    poll(POLL_FIRST_MS);
  }
}
