// The field for a code: checks it as one types, and groups it once it reads as a native code.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NATIVE_LENGTH = 20;
const CHECK_MODULUS = 37;
const GROUP_LENGTH = 4;

const code = document.getElementById("code");
const check = document.getElementById("code-check");

// As the ledger reads it: signs of full width are the same as the plain ones.
const bare = (text) => text.normalize("NFKC").replace(/[\s-]/g, "").toUpperCase();

const inGroups = (text) => (text.match(new RegExp(`.{1,${GROUP_LENGTH}}`, "g")) ?? []).join("-");

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

// Some codes have a prefix, which stands alone; until the rest reads correctly nobody can tell.
const hasPrefix = (text) => text.length > NATIVE_LENGTH && readsCorrectly(text.slice(-NATIVE_LENGTH));

function grouped(text) {
  const length = hasPrefix(text) ? text.length - NATIVE_LENGTH : 0;
  return [text.slice(0, length), inGroups(text.slice(length))].filter(Boolean).join("-");
}

function verdictOf(text) {
  if (!/^[0-9A-Z]*$/.test(text) || text.length < NATIVE_LENGTH) {
    return null;
  }
  if (text.length > NATIVE_LENGTH) {
    return hasPrefix(text) ? "good" : null;
  }
  return readsCorrectly(text) ? "good" : "doubt";
}

function say(verdict) {
  const text = verdict ? check.dataset[verdict] : "";
  check.className = verdict ? `check ${verdict}` : "check";
  if (check.textContent !== text) {
    check.textContent = text;
  }
}

// Where so many letters are passed, hyphens not counted.
function placeAfter(shown, letters) {
  let place = 0;
  for (let left = letters; left > 0; place += 1) {
    left -= shown[place] === "-" ? 0 : 1;
  }
  return place;
}

// A refused code has its answer already.
let refused = code.hasAttribute("aria-invalid") ? bare(code.value) : null;

export function refuseCode() {
  refused = bare(code.value);
  onCode();
}

function onCode() {
  const text = bare(code.value);
  if (text === refused) {
    say(null);
    return;
  }
  const verdict = verdictOf(text);
  // A legacy code has its own spelling, so nothing is grouped before it reads as a native code.
  if (verdict === "good") {
    const shown = grouped(text);
    if (shown !== code.value) {
      const caret = placeAfter(shown, bare(code.value.slice(0, code.selectionStart)).length);
      code.value = shown;
      code.setSelectionRange(caret, caret);
    }
  }
  say(verdict);
}

code.addEventListener("input", (event) => {
  if (!event.isComposing) {
    onCode();
  }
});
code.addEventListener("compositionend", onCode);

// A field of one line would join the lines of a pasted message to one word.
code.addEventListener("paste", (event) => {
  const text = event.clipboardData.getData("text");
  if (/[\r\n]/.test(text)) {
    event.preventDefault();
    code.setRangeText(text.replace(/\s+/g, " ").trim(), code.selectionStart, code.selectionEnd, "end");
    onCode();
  }
});

// In a grouped code, a backspace right behind a hyphen means the letter before it: the hyphen alone would come back.
code.addEventListener("beforeinput", (event) => {
  const at = code.selectionStart;
  const isGrouped = verdictOf(bare(code.value)) === "good";
  if (isGrouped && event.inputType === "deleteContentBackward" && at === code.selectionEnd && code.value[at - 1] === "-") {
    code.setSelectionRange(at - 1, at - 1);
  }
});

onCode();
