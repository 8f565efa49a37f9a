// Keyboard shortcuts of the staff pages, and how dense their lists are. The keys are in the table of the help. They do nothing while someone types,
// and each browser can turn them off, because single keys may be commands of assistive technology (WCAG 2.1.4).

const TYPED_IN = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const LINES = "main .line, main .fold > details > summary, main .hits > li, main .list-cards tbody tr";

const dialog = document.getElementById("keys");
const opener = document.getElementById("keys-open");
const choice = document.getElementById("keys-on");
const density = document.getElementById("keys-compact");

// Each checkbox is a choice of this browser, with the name under which it is stored.
function remember(box, name, apply = () => {}) {
  try {
    box.checked = (localStorage.getItem(name) ?? (box.checked ? "on" : "off")) === "on";
  } catch {
    // This browser stores nothing: the choice lasts for one page.
  }
  apply();
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(name, box.checked ? "on" : "off");
    } catch {}
    apply();
  });
}

const applyDensity = () => document.documentElement.classList.toggle("compact", density.checked);

function search() {
  const field = document.querySelector("[role=search] [type=search]");
  if (field === null) {
    location.assign("/support");
  } else {
    field.focus();
    field.select();
  }
}

function moveBy(step) {
  const lines = [...document.querySelectorAll(LINES)].filter((line) => line.checkVisibility());
  const current = lines.findIndex((line) => line.contains(document.activeElement));
  const line = lines[current < 0 ? 0 : Math.min(Math.max(current + step, 0), lines.length - 1)];
  if (line !== undefined) {
    if (line.tabIndex < 0) {
      line.tabIndex = -1;
    }
    line.focus();
  }
}

// A summary and a link have their own meaning of Enter.
const findLink = () => (document.activeElement.matches(`:is(${LINES}):not(summary)`) ? document.activeElement.querySelector("a[href]") : null);

const follow = (action) => document.querySelector(`a[data-step="${action}"]`)?.click();

function help() {
  if (!dialog.open) {
    dialog.showModal();
  }
}

const ACTIONS = {
  search,
  next: () => moveBy(1),
  previous: () => moveBy(-1),
  follow: () => findLink().click(),
  earlier: () => follow("earlier"),
  later: () => follow("later"),
  density: () => density.click(),
  help,
};
const REPEATED = ["next", "previous"];

// A bracket may need AltGr, which some systems report as Control and Alt.
function isCommandOfOthers(event) {
  const isChord = (event.ctrlKey || event.altKey) && !event.getModifierState("AltGraph");
  return isChord || event.metaKey || event.isComposing || event.defaultPrevented;
}

function onKey(event) {
  if (!choice.checked || dialog.open || isCommandOfOthers(event)) {
    return;
  }
  const row = [...dialog.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key.toLowerCase());
  const field = event.target.closest?.(TYPED_IN);
  // The empty search field has the focus already, and no search begins with the key of the help.
  if (field && (!["search", "help"].includes(row?.dataset.action) || field.type !== "search" || field.value)) {
    return;
  }
  if (row?.dataset.action === "follow" && findLink() === null) {
    return;
  }
  if (row !== undefined && (!event.repeat || REPEATED.includes(row.dataset.action))) {
    event.preventDefault();
    ACTIONS[row.dataset.action]();
  }
}

if (dialog !== null) {
  remember(choice, "ledger.shortcuts");
  remember(density, "ledger.compact", applyDensity);
  opener.hidden = false;
  opener.addEventListener("click", help);
  document.addEventListener("keydown", onKey);
}
