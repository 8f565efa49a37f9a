// What every staff page but that of a code does: sliders show their event, texts are copied, and work in steps goes on.

for (const range of document.querySelectorAll("input[type=range][data-shown]")) {
  range.addEventListener("input", () => {
    document.getElementById(range.dataset.shown).textContent = `${range.value} / ${range.max}`;
  });
}

// --- Copying ---

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.textContent;
  button.hidden = navigator.clipboard === undefined;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
    setTimeout(() => {
      button.textContent = label;
    }, 2000);
  });
}

// --- Work that goes on step by step ---

for (const form of document.querySelectorAll("form[data-goes-on]")) {
  setTimeout(() => form.requestSubmit(), 300);
}
