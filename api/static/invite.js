// The redeem form: groups and checks the code as one types, and asks the API, so that a refusal keeps what was typed.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NATIVE_LENGTH = 20;
const CHECK_MODULUS = 37;
const GROUP_LENGTH = 4;

const form = document.getElementById("redeem");
const email = form.elements.email;
const code = form.elements.code;
const button = form.querySelector("button");
const check = document.getElementById("code-check");
const notice = document.getElementById("notice");
const label = button.textContent;

// --- The code ---

const bare = (text) => text.replace(/[\s-]/g, "").toUpperCase();

const grouped = (text) => (text.match(new RegExp(`.{1,${GROUP_LENGTH}}`, "g")) ?? []).join("-");

// Crockford's check: the number that the letters write, modulo 37, must be the last letter's value.
function readsCorrectly(text) {
  const folded = text.replaceAll("O", "0").replace(/[IL]/g, "1");
  const values = Array.from(folded, (letter) => ALPHABET.indexOf(letter));
  if (values.includes(-1)) {
    return false;
  }
  const rest = values.slice(0, -1).reduce((sum, value) => (sum * ALPHABET.length + value) % CHECK_MODULUS, 0);
  return rest === values.at(-1);
}

function say(verdict) {
  const text = verdict ? check.dataset[verdict] : "";
  check.className = verdict ? `check ${verdict}` : "check";
  if (check.textContent !== text) {
    check.textContent = text;
  }
}

function onCode() {
  const text = bare(code.value);
  // Codes of older systems may hold other signs: those stay as they were typed.
  if (/^[0-9A-Z]*$/.test(text)) {
    const before = bare(code.value.slice(0, code.selectionStart)).length;
    const shown = grouped(text);
    if (shown !== code.value) {
      code.value = shown;
      const caret = before + Math.max(0, Math.ceil(before / GROUP_LENGTH) - 1);
      code.setSelectionRange(caret, caret);
    }
  }
  if (text.length !== NATIVE_LENGTH || !/^[0-9A-Z]*$/.test(text)) {
    say(null);
  } else {
    say(readsCorrectly(text) ? "good" : "doubt");
  }
}

code.addEventListener("input", (event) => {
  if (!event.isComposing) {
    onCode();
  }
});
code.addEventListener("compositionend", onCode);

// A backspace right behind a hyphen means the letter before it: else the hyphen would only come back.
code.addEventListener("beforeinput", (event) => {
  const at = code.selectionStart;
  if (event.inputType === "deleteContentBackward" && at === code.selectionEnd && code.value[at - 1] === "-") {
    code.setSelectionRange(at - 1, at - 1);
  }
});

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
  const response = await fetch(form.dataset.endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": form.dataset.language },
    body: JSON.stringify({ email: email.value, code: code.value }),
  });
  const answer = await response.json();
  if (response.ok) {
    location.assign(response.status === 200 ? `${answer.status_url}?known=1` : answer.status_url);
    return true;
  }
  refuse(answer.title, answer.detail, answer.code);
  return false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
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

onCode();
