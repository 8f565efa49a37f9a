// Has proofs checked that the event of a line, or all events of a reservation, are in the ledger as of a signed
// checkpoint. A classic script, because browsers load no module from a saved page; the proofs and the script that checks
// them become part of the page once it is shown, so a check needs no network. Without it a tick leads to the section.

(() => {
  const panel = document.getElementById("proof");
  const [check, result, meaning, heading, keys, state, store] =
    ["check", "result", "meaning", "heading", "keys", "state", "data"].map((id) => document.getElementById(`proof-${id}`));
  const VERSIONS_MAX = 100;
  const PENDING_MS = 30000;

  const readProofs = () => JSON.parse(store.textContent);
  const findTicks = (name = "") => [...document.querySelectorAll(`[data-proof${name && `=${name}`}]`)];
  const versionOf = (tick) => tick.closest("[data-version]").dataset.version;
  const readable = (at) => `${at.slice(0, 19).replace("T", " ")} UTC`;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  function mark(tick, name, checkpoint) {
    tick.dataset.proof = name;
    tick.textContent = `✓ ${fill(panel.dataset[name], checkpoint)}`;
  }

  // Neighbors share the end of their paths; a step has 43 characters. Each event keeps the checkpoint that its path leads
  // to: that of other lines may be a later one.
  function unpack(proofs, { checkpoint, stream, events }) {
    let path = [];
    for (const [version, topic, state, leaf_index, own, shared] of events) {
      path = [...(own.match(/.{43}/g) ?? []), ...path.slice(path.length - shared)];
      proofs[version] = { event: { stream, version, topic, state, leaf_index, path }, checkpoint };
    }
  }

  async function load(ticks) {
    const proofs = readProofs();
    const versions = ticks.map(versionOf).filter((version) => !(version in proofs));
    if (panel.dataset.receipt && !proofs.receipt) {
      proofs.receipt = await (await fetch(panel.dataset.receipt)).json();
    }
    if (versions.length > 0) {
      const response = await fetch(`${panel.dataset.source}?versions=${versions.slice(0, VERSIONS_MAX)}`);
      unpack(proofs, await response.json());
    }
    store.textContent = JSON.stringify(proofs);
    for (const tick of ticks) {
      const proof = proofs[versionOf(tick)];
      if (proof && tick.dataset.proof === "pending") {
        mark(tick, "signed", proof.checkpoint);
      }
    }
  }

  function show(name, values) {
    check.hidden = false;
    meaning.hidden = name !== "holds" && name !== "holdsUnsigned";
    result.dataset.result = name;
    result.textContent = fill(panel.dataset[name], values);
    panel.scrollIntoView({ block: "nearest" });
    heading.focus({ preventScroll: true });
  }

  const listKeys = () => keys.value.split(/\s+/);

  async function press(tick) {
    const version = versionOf(tick);
    const isLoaded = await load([tick]).then(() => true, () => false);
    const proof = readProofs()[version];
    if (!proof) {
      show(isLoaded ? "pendingStill" : "notLoaded", { version });
      return;
    }
    const { number, at, size: count } = proof.checkpoint;
    const name = await ledgerProofs.checkEvent(proof, listKeys()).catch(() => "wrongPath");
    if (name.startsWith("holds")) {
      state.textContent = JSON.stringify(ledgerProofs.readState(proof.event), null, 2);
    }
    show(name, { version, number, at: readable(at), count: count.toLocaleString("en") });
    if (name === "holds") {
      mark(tick, "checked", proof.checkpoint);
    }
  }

  async function pressReceipt() {
    await load([]).catch(() => {});
    const { receipt } = readProofs();
    const name = receipt ? await ledgerProofs.checkReceipt(receipt, listKeys()).catch(() => "wrongReceipt") : "notLoaded";
    const { number, at } = receipt?.checkpoint ?? { number: 0, at: "" };
    show(name, { number, at: readable(at), count: (receipt?.events.length ?? 0).toLocaleString("en"), version: "" });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-proof], #proof-all");
    if (link) {
      event.preventDefault();
      (link.id ? pressReceipt() : press(link));
    }
  });

  // --- Proofs are loaded ahead, for lines of the page and those that appear later ---

  let waiting = null;
  function loadSoon(wait) {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      waiting = null;
      await load(document.hidden ? [] : findTicks()).catch(() => {});
      if (findTicks("pending").length > 0) {
        loadSoon(PENDING_MS);
      }
    }, wait);
  }

  if (location.protocol !== "file:") {
    loadSoon(0);
    // A new event is under no checkpoint yet, so its proof waits: many viewers would ask for it at the same time.
    const hasTick = (node) => node.nodeType === Node.ELEMENT_NODE && node.querySelector("[data-proof]") !== null;
    const isNew = (node) => node.classList.contains("is-new");
    new MutationObserver((changes) => {
      const lines = changes.flatMap(({ addedNodes }) => [...addedNodes]).filter(hasTick);
      if (lines.some((line) => !isNew(line))) {
        loadSoon(200);
      } else if (lines.length > 0 && waiting === null) {
        loadSoon(PENDING_MS);
      }
    }).observe(document.getElementById("lines")?.parentElement ?? panel.previousElementSibling, {
      childList: true,
      subtree: true,
    });
  }
})();
