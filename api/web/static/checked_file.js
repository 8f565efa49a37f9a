// A file that was checked stays chosen: the result is put into the page, and the form stays as it is. Without this
// script, and if the answer is another page, the form is sent.

import { showLocalTimes } from "./times.js";

async function check(button) {
  const body = new FormData(button.form);
  body.set(button.name, button.value);
  const response = await fetch(button.form.action, { method: "POST", body, headers: { Accept: "text/html" } });
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const parts = [...next.querySelectorAll("[data-checked]")];
  if (!response.ok || parts.length === 0) {
    throw new Error(response.statusText);
  }
  showLocalTimes(next);
  for (const part of parts) {
    document.getElementById(part.id).replaceWith(document.adoptNode(part));
  }
  history.replaceState(null, "", response.url);
  document.getElementById("checked").focus();
}

for (const button of document.querySelectorAll("button[data-check]")) {
  button.addEventListener("click", async (event) => {
    if (button.dataset.check === "sent" || !button.form.checkValidity()) {
      return;
    }
    event.preventDefault();
    if (button.ariaDisabled === "true") {
      return;
    }
    button.ariaDisabled = "true";
    try {
      await check(button);
    } catch {
      button.dataset.check = "sent";
    }
    button.ariaDisabled = null;
    if (button.dataset.check === "sent") {
      button.form.requestSubmit(button);
    }
  });
}
