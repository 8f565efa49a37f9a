// The admin console: a page follows its work. The server renders what is shown: the parts that change, or the whole
// page once the work has ended.

import { showLocalTimes } from "./times.js";

const SLOWEST = 8;

const followed = (root) => root.querySelector("[data-follow]");

// A link that has the focus keeps it in the part that takes the place of its own.
function replace(former, part) {
  const focused = former.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  former.replaceWith(part);
  if (focused !== null) {
    part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

// Returns whether something has changed.
async function look() {
  const url = new URL(followed(document).dataset.follow, location.href);
  const response = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const parts = [...next.querySelectorAll("[data-renewed]")];
  if (!response.ok || parts.length === 0) {
    throw new Error(response.statusText);
  }
  showLocalTimes(next);
  const news = document.getElementById("news").dataset.text ?? next.querySelector(".progress-number").textContent;
  const whole = next.getElementById("content");
  const hasEnded = followed(next) === null;
  const changed = parts.filter((part) => document.getElementById(part.id).outerHTML !== part.outerHTML);
  if (hasEnded && whole !== null) {
    document.getElementById("content").replaceChildren(...document.adoptNode(whole).children);
  } else {
    for (const part of changed) {
      replace(document.getElementById(part.id), document.adoptNode(part));
    }
  }
  if (hasEnded) {
    document.getElementById("news").textContent = news;
  }
  return changed.length > 0;
}

async function poll(every, wait) {
  let next = every;
  if (!document.hidden) {
    try {
      next = (await look()) ? every : Math.min(wait * 2, every * SLOWEST);
    } catch {
      next = Math.min(wait * 2, every * SLOWEST);
    }
  }
  if (followed(document) !== null) {
    setTimeout(poll, next, every, next);
  }
}

const work = followed(document);
if (work !== null) {
  const every = Number(work.dataset.every);
  setTimeout(poll, every, every, every);
}
