// Fields of times come from the server in UTC, and say so. With this script they are in the reader's time zone, which
// their labels name, and are sent as UTC: https://html.spec.whatwg.org/#event-formdata

import { FORMS, day, offsetOf, zoneName } from "./times.js";

const texts = document.getElementById("zone").dataset;
const timeText = (at) => FORMS.second(at).replace(" ", "T");

// Zones change by an hour, and Lord Howe Island by half of one.
const SHIFTS_MIN = [-60, -30, 0, 30, 60];

// The times that a typed one may be: none where clocks are put forward, two where they are put back.
function readTyped(text) {
  const at = new Date(text);
  const typed = text.length === "2026-12-01T08:00".length ? `${text}:00` : text.slice(0, "2026-12-01T08:00:00".length);
  return SHIFTS_MIN.map((shift) => new Date(at.getTime() + 60_000 * shift)).filter((each) => timeText(each) === typed);
}

// A day begins when its first time does, which is not midnight where clocks are put forward at midnight.
function boundOf(text, bound) {
  const [year, month, date] = text.split("-").map(Number);
  return new Date(year, month - 1, date + (bound === "end" ? 1 : 0));
}

// A value that stays as shown is sent back as the time that it was, also in the hour that comes twice.
const stored = new WeakMap();

function show(input) {
  const text = input.dataset.at ?? input.value;
  if (text !== "") {
    const at = new Date(`${text}Z`);
    const isEnd = input.dataset.utc === "end";
    input.value = input.type === "date" ? day(isEnd ? new Date(at.getTime() - 1) : at) : timeText(at);
    stored.set(input, { at, text: input.value });
  }
  input.labels[0].textContent = input.labels[0].textContent.replace("UTC", zoneName);
  input.dataset.zone = zoneName;
}

const storedTime = (input) => (stored.get(input)?.text === input.value ? stored.get(input).at : null);
const helpOf = (input) => document.getElementById(`${input.id}-clock`);

// Ask where the clocks are put forward or back.
function check(input) {
  helpOf(input)?.remove();
  input.setCustomValidity("");
  const times = input.value === "" || input.type === "date" ? [null] : readTyped(input.value);
  if (times.length === 1) {
    return;
  }
  const named = (text, at) => text.replace("{time}", input.value.replace("T", " ")).replace("{next}", FORMS.second(at));
  const help = Object.assign(document.createElement("p"), { className: "fault", id: `${input.id}-clock` });
  help.setAttribute("role", "alert");
  if (times.length === 0) {
    help.textContent = named(texts.gap, new Date(input.value));
    input.setCustomValidity(help.textContent);
  } else {
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", named(texts.twice, times[0]));
    choice.append(...times.map((at) => new Option(offsetOf(at))));
    choice.selectedIndex = Math.max(times.findIndex((at) => at.getTime() === storedTime(input)?.getTime()), 0);
    help.append(named(texts.twice, times[0]), " ", choice);
  }
  input.after(help);
}

function utcOf(input) {
  if (input.value === "") {
    return "";
  }
  if (input.type === "date") {
    return boundOf(input.value, input.dataset.utc).toISOString().slice(0, 19);
  }
  const choice = helpOf(input)?.querySelector("select");
  const chosen = choice ? readTyped(input.value)[choice.selectedIndex] : storedTime(input);
  return (chosen ?? readTyped(input.value)[0] ?? new Date(input.value)).toISOString().slice(0, 19);
}

const inZone = (form) => [...form.elements].filter((field) => field.dataset.zone);

for (const input of zoneName === "UTC" ? [] : document.querySelectorAll("input[data-utc]")) {
  show(input);
  input.addEventListener("input", () => check(input));
}
document.addEventListener("formdata", (event) => {
  for (const input of inZone(event.target)) {
    event.formData.set(input.name, utcOf(input));
  }
});
// Before the handlers of forms that can be sent once.
document.addEventListener(
  "submit",
  (event) => {
    const wrong = inZone(event.target).find((input) => input.validity.customError);
    if (wrong) {
      event.preventDefault();
      event.stopImmediatePropagation();
      wrong.focus();
    }
  },
  true,
);
