// The office: a batch's page follows its progress. The page itself is always drawn by the server.

import { showLocalTimes } from "./times.js";

const POLL_MS = 700;
const POLL_LONGEST_MS = 5000;

const isWorking = () => document.getElementById("batch")?.dataset.state === "working";

async function look() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!response.ok || next.getElementById("batch") === null) {
    throw new Error(response.statusText);
  }
  showLocalTimes(next);
  const main = document.getElementById("content");
  if (next.getElementById("batch").dataset.state === "working") {
    const bar = (root) => root.querySelector(".progress");
    bar(document).replaceWith(document.adoptNode(bar(next)));
    return;
  }
  const news = document.getElementById("news");
  const text = news.dataset.text;
  main.replaceChildren(...document.adoptNode(next.getElementById("content")).children);
  document.getElementById("news").textContent = text;
}

async function poll(wait) {
  let next = POLL_MS;
  try {
    await look();
  } catch {
    next = Math.min(wait * 2, POLL_LONGEST_MS);
  }
  if (isWorking()) {
    setTimeout(poll, next, next);
  }
}

if (isWorking()) {
  setTimeout(poll, POLL_MS, POLL_MS);
}
