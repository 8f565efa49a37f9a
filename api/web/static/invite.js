// The redeem form, sent by script: a refusal is shown without loading the page again.

import { refuseCode } from "./code.js";
import "./email.js";

// A page that came from the form has the address of the form, so that going back to it asks nothing.
history.replaceState(null, "", location.href);

const form = document.getElementById("redeem");
const email = form.elements.email;
const code = form.elements.code;
const asked = form.elements.asked;
const button = form.querySelector(".press");
const notice = document.getElementById("notice");
const label = button.textContent;

// --- The link ---

// A link with a code was opened in a browser: campaigns count the codes of their hand-outs for which that was so.
function recordOpening() {
  const linked = new URLSearchParams(location.search).get("code");
  if (linked) {
    const body = new URLSearchParams({ code: linked });
    fetch("/invite/opened", { method: "POST", body, keepalive: true }).catch(() => {});
  }
}

if (document.prerendering) {
  document.addEventListener("prerenderingchange", recordOpening, { once: true });
} else {
  recordOpening();
}

// --- Loaded again ---

// What was sent is filled in when the page is loaded again: this tab stores it until a code is redeemed, or a link leads here.
const PLACE = "sent-form";
const STORED_MS = 15 * 60_000;
const storage = findStorage();

function findStorage() {
  try {
    return sessionStorage;
  } catch {
    return null; // this browser stores nothing
  }
}

function store() {
  storage?.setItem(PLACE, JSON.stringify({ at: Date.now(), email: email.value, code: code.value }));
}

function fillAgain() {
  const isAgain = ["back_forward", "reload"].includes(performance.getEntriesByType("navigation")[0]?.type);
  const sent = JSON.parse(storage?.getItem(PLACE) ?? "null");
  if (isAgain && sent !== null && Date.now() - sent.at < STORED_MS) {
    email.value = sent.email;
    code.value = sent.code;
    code.dispatchEvent(new Event("input"));
  } else if (email.value === "") {
    storage?.removeItem(PLACE);
  } else {
    store(); // this page is the answer to what was sent
  }
}

fillAgain();

// --- The button ---

function press(pressed) {
  button.setAttribute("aria-disabled", String(pressed));
  button.textContent = pressed ? form.dataset.pressed : label;
}

const isPressed = () => button.getAttribute("aria-disabled") === "true";

function forget() {
  notice.hidden = true;
  mark(email, "email-hint", false);
  mark(code, "code-hint code-check", false);
}

function refuse(title, detail, problem = "") {
  const about = (field) => form.dataset[field].split(" ").includes(problem);
  mark(email, "email-hint", about("aboutEmail"));
  mark(code, "code-hint code-check", about("aboutCode"));
  if (about("aboutCode")) {
    refuseCode();
  }
  document.getElementById("notice-title").textContent = title;
  document.getElementById("notice-detail").textContent = detail === title ? form.dataset.exhausted : detail;
  notice.hidden = false;
  notice.focus();
  notice.scrollIntoView({ block: "nearest" });
}

function mark(field, hints, isWrong) {
  if (isWrong) {
    field.setAttribute("aria-invalid", "true");
  } else {
    field.removeAttribute("aria-invalid");
  }
  field.setAttribute("aria-describedby", isWrong ? `notice-title ${hints}` : hints);
}

async function redeem() {
  store();
  const response = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json", "Accept-Language": form.dataset.language },
    body: new URLSearchParams({ email: email.value, code: code.value, asked: asked.value }),
  });
  if (response.headers.get("Content-Type").startsWith("text/html")) {
    // The page offers the waiting list. Asking for it again would be another request, and another refusal.
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (page.getElementById(form.id) === null) {
      throw new Error("not a page of the ledger");
    }
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.getElementById("notice")?.focus();
    return true;
  }
  const answer = await response.json();
  if (answer.question) {
    form.submit(); // the page comes back with the question, as it does without JavaScript
    return true;
  }
  if (response.ok) {
    storage?.removeItem(PLACE);
    location.assign(answer.status_url);
    return true;
  }
  refuse(answer.title, answer.detail, answer.code);
  return false;
}

// The address that was chosen is what the field shows and what is sent, also if the code is refused then.
function choose(address) {
  email.value = address;
  asked.value = address;
  document.getElementById("question").remove();
}

form.addEventListener("submit", async (event) => {
  const { name, dataset } = event.submitter ?? button;
  if (name === "switch") {
    return;
  }
  event.preventDefault();
  if (name === "choice") {
    choose(dataset.address);
  }
  if (isPressed()) {
    return;
  }
  press(true);
  forget();
  let isLeaving = false;
  try {
    isLeaving = await redeem();
  } catch {
    refuse(form.dataset.offlineTitle, form.dataset.offlineDetail);
  }
  if (!isLeaving) {
    press(false);
  }
});

// The back button may show this page as it was left, button pressed.
addEventListener("pageshow", () => press(false));
