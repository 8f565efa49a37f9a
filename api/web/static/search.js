// Search as one types: hits under the field, which the arrow keys walk through and Escape closes. The page works
// without it.

const TYPING_REST_MS = 220;

for (const form of document.querySelectorAll("form[data-hits]")) {
  const place = document.getElementById("hits");
  let typing = null;
  let question = 0;

  async function ask() {
    question += 1;
    const mine = question;
    const body = new URLSearchParams(new FormData(form));
    const response = await fetch(form.dataset.hits, { method: "POST", body, cache: "no-store" });
    if (response.ok && mine === question) {
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      place.replaceChildren(...[...next.body.children].map((part) => document.adoptNode(part)));
    }
  }

  // An answer that is still to come must not open the hits again. An input method has its own meaning of Escape.
  function close(event) {
    if (event.key === "Escape" && !event.isComposing) {
      clearTimeout(typing);
      question += 1;
      const field = form.querySelector("[type=search]");
      if (field.value === "" && place.childElementCount === 0) {
        field.blur();  // the keys of the page work again
      } else {
        field.focus();
      }
      place.replaceChildren();
    }
  }

  for (const part of [form, place]) {
    part.addEventListener("keydown", close);
  }
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => ask().catch(() => {}), TYPING_REST_MS);
  });
  form.addEventListener("keydown", (event) => {
    const first = place.querySelector("a");
    if (event.key === "ArrowDown" && first !== null) {
      event.preventDefault();
      first.focus();
    }
  });
  place.addEventListener("keydown", (event) => {
    const links = [...place.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      (links[at + (event.key === "ArrowDown" ? 1 : -1)] ?? form.querySelector("[type=search]")).focus();
    }
  });
}
