// What staff typed into a form that was not accepted is filled in again. This tab keeps it until one is accepted.

const PLACE = "typed-form";
const KEPT_MS = 15 * 60_000;
const LENGTH_MAX = 200_000;
const LEFT_OUT = new Set(["file", "password", "submit", "button", "reset"]);

const isAgain = ["back_forward", "reload"].includes(performance.getEntriesByType("navigation")[0]?.type);
const signIn = document.querySelector("form input[type=password][autocomplete=current-password], [data-confirms]");

function read() {
  const stored = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
  return stored !== null && Date.now() - stored.at < KEPT_MS ? stored : null;
}

function store(typed) {
  const text = JSON.stringify(typed);
  if (text.length <= LENGTH_MAX) {
    sessionStorage.setItem(PLACE, text);
  }
}

const pathOf = (form) => new URL(form.action, location.href).pathname;

// Hidden tokens belong to a session. The nonce makes a form that is sent twice one request, and "seen" is what others may have changed.
const isTyped = (field) => field.name !== "" && !LEFT_OUT.has(field.type) && (field.type !== "hidden" || ["nonce", "seen"].includes(field.name));

const fieldsOf = (form) => [...form.elements].filter(isTyped);

const valuesOf = (form) => fieldsOf(form).map((field) => [field.name, field.value, field.checked === true]);

// The form that is sent, and the changed ones. `isLost`: it was not sent. `isLeft`: for another page.
function remember(form, isLost, isLeft = false) {
  const page = location.pathname + location.search;
  const others = [...document.forms]
    .filter((each) => each !== form && canKeep(each) && fieldsOf(each).some(isChanged))
    .map((each) => [pathOf(each), valuesOf(each)]);
  store({ at: Date.now(), page, path: location.pathname, action: pathOf(form), values: valuesOf(form), others, isLost, isLeft });
}

function fill(form, values) {
  const fields = fieldsOf(form);
  if (fields.length !== values.length || fields.some((field, nth) => field.name !== values[nth][0])) {
    return; // the form has other fields by now
  }
  for (const [nth, field] of fields.entries()) {
    const [, value, isChecked] = values[nth];
    if (field.type === "checkbox" || field.type === "radio") {
      field.checked = isChecked;
    } else if (field.value !== value) {
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  const note = document.getElementById("filled-again");
  note.hidden = false;
  note.className = "done";
  note.setAttribute("role", "status");
  form.before(note);
}

const canKeep = (form) =>
  form.method === "post" && form.querySelector("input:is([type=password], [autocomplete=one-time-code], [data-secret])") === null && fieldsOf(form).some((field) => field.type !== "hidden");

// A page that refuses a form gets the address of the form's page: going back and loading again ask nothing.
function comeBack(stored) {
  for (const form of document.forms) {
    form.action = form.action;
  }
  history.replaceState(null, "", stored.page);
  store({ ...stored, isRefused: true });
}

function fillAll(forms) {
  for (const [action, values] of forms) {
    const form = [...document.forms].find((each) => each.method === "post" && pathOf(each) === action);
    if (form !== undefined) {
      fill(form, values);
    }
  }
}

const stored = read();
if (stored === null) {
  sessionStorage.removeItem(PLACE);
} else if (signIn !== null) {
  store({ ...stored, isLost: true });
  for (const text of document.querySelectorAll("[data-kept]")) {
    text.textContent = text.dataset.kept;
  }
} else if (document.body.dataset.refused !== undefined) {
  comeBack(stored);
} else if (stored.path === location.pathname && (stored.isLost || (isAgain && (stored.isRefused || stored.isLeft)))) {
  fillAll([[stored.action, stored.values], ...stored.others]);
} else if (!stored.isRefused && (!stored.isLeft || stored.path === location.pathname)) {
  if (stored.path === location.pathname && !stored.isLeft) {
    fillAll(stored.others);
  }
  sessionStorage.removeItem(PLACE);
}

const findChanged = () => [...document.forms].find((each) => canKeep(each) && fieldsOf(each).some(isChanged));

// Whether the page is left by what has stored the form, or sends it.
let isStored = false;

document.addEventListener(
  "submit",
  (event) => {
    if (event.target.dataset.carries !== undefined || event.target.matches(".who")) {
      isStored = true;
      sessionStorage.removeItem(PLACE);
    } else if (!event.defaultPrevented && canKeep(event.target)) {
      isStored = true;
      remember(event.target, false);
    }
  },
  true,
);

// A link changes the language, and would leave the form; one that was refused is as it was sent.
for (const link of document.querySelectorAll(".languages a")) {
  link.addEventListener("click", () => {
    const form = findChanged();
    const refused = read();
    isStored = true;
    if (form !== undefined) {
      remember(form, true);
    } else if (refused?.isRefused) {
      store({ ...refused, isLost: true });
    }
  });
}

// Going back, or loading again, fills in a form that was left.
addEventListener("pagehide", () => {
  const form = findChanged();
  if (!isStored && signIn === null && form !== undefined) {
    remember(form, false, true);
  }
});
addEventListener("pageshow", () => {
  isStored = false;
});

function isChanged(field) {
  if (field.type === "checkbox" || field.type === "radio") {
    return field.checked !== field.defaultChecked;
  }
  return field instanceof HTMLSelectElement
    ? [...field.options].some((option) => option.selected !== option.defaultSelected)
    : field.value !== field.defaultValue;
}
