// Checks in the browser that the event of a line is in the ledger as of a signed checkpoint (RFC 9162, 2.1.3.2), with
// WebCrypto. A classic script, because browsers load no module from a saved page; the proofs are kept in the page, so
// a check needs no network. Without this script a tick leads to the section about proofs.

(() => {
  const panel = document.getElementById("proof");
  const [check, result, meaning, heading, keys, state, store] =
    ["check", "result", "meaning", "heading", "keys", "state", "data"].map((id) => document.getElementById(`proof-${id}`));
  const VERSIONS_MAX = 100;
  const PENDING_MS = 30000;

  const readBytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const encode = (text) => new TextEncoder().encode(text);

  async function hash(...parts) {
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
    return new Uint8Array(digest);
  }

  // A leaf: 0, the stream's id, the version (8 bytes), the length of the topic (2 bytes), the topic, the stored event.
  function hashEvent(event) {
    const stream = event.stream.replaceAll("-", "").match(/../g).map((each) => Number.parseInt(each, 16));
    const topic = encode(event.topic);
    const numbers = new DataView(new ArrayBuffer(10));
    numbers.setBigInt64(0, BigInt(event.version));
    numbers.setUint16(8, topic.length);
    return hash(Uint8Array.of(0, ...stream), numbers, topic, readBytes(event.state));
  }

  // The root that a path leads to; null if it cannot be a path of that leaf.
  async function climb(index, size, leaf, path) {
    let [number, last, node] = [BigInt(index), BigInt(size) - 1n, leaf];
    if (number < 0n || number > last) {
      return null;
    }
    for (const step of path.map(readBytes)) {
      if (last === 0n) {
        return null;
      }
      if (number & 1n || number === last) {
        node = await hash(Uint8Array.of(1), step, node);
        while (!(number & 1n) && number) {
          [number, last] = [number >> 1n, last >> 1n];
        }
      } else {
        node = await hash(Uint8Array.of(1), node, step);
      }
      [number, last] = [number >> 1n, last >> 1n];
    }
    return last === 0n ? btoa(String.fromCharCode(...node)) : null;
  }

  function formatSignedText({ number, size, root, at }) {
    const start = number === undefined ? "1" : `2\n${number}`;
    return `redemption-ledger checkpoint ${start}\n${size}\n${root}\n${at}\n`;
  }

  // Returns null if this browser has no Ed25519.
  async function isSigned(head) {
    const name = "Ed25519";
    try {
      const key = await crypto.subtle.importKey("raw", readBytes(head.public_key), { name }, false, ["verify"]);
      return await crypto.subtle.verify({ name }, key, readBytes(head.signature), encode(formatSignedText(head)));
    } catch (error) {
      return error.name === "NotSupportedError" ? null : false;
    }
  }

  // Returns the name of the sentence that says what the check found.
  async function checkEvent({ event, checkpoint }) {
    if (globalThis.crypto?.subtle === undefined) {
      return "noCrypto";
    }
    if ((await climb(event.leaf_index, checkpoint.size, await hashEvent(event), event.path)) !== checkpoint.root) {
      return "wrongPath";
    }
    if (!keys.value.split(/\s+/).includes(checkpoint.public_key)) {
      return "wrongKey";
    }
    return { true: "holds", false: "wrongSignature", null: "holdsUnsigned" }[await isSigned(checkpoint)];
  }

  // --- The page ---

  const readProofs = () => JSON.parse(store.textContent);
  const findTicks = (name = "") => [...document.querySelectorAll(`.proof-tick${name && `[data-proof=${name}]`}`)];
  const versionOf = (tick) => tick.closest("[data-version]").dataset.version;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  function mark(tick, name, checkpoint) {
    tick.dataset.proof = name;
    tick.textContent = `✓ ${fill(panel.dataset[name], checkpoint)}`;
  }

  // Each event keeps the checkpoint that its path leads to: that of other lines may be a later one.
  async function load(ticks) {
    const proofs = readProofs();
    const versions = ticks.map(versionOf).filter((version) => !(version in proofs));
    if (versions.length > 0) {
      const response = await fetch(`${panel.dataset.source}?versions=${versions.slice(0, VERSIONS_MAX)}`);
      const { checkpoint, events } = await response.json();
      for (const event of events) {
        proofs[event.version] = { event, checkpoint };
      }
      store.textContent = JSON.stringify(proofs);
    }
    for (const tick of ticks) {
      const proof = proofs[versionOf(tick)];
      if (proof && tick.dataset.proof === "pending") {
        mark(tick, "signed", proof.checkpoint);
      }
    }
  }

  async function press(tick) {
    const version = versionOf(tick);
    const isLoaded = await load([tick]).then(() => true, () => false);
    const proof = readProofs()[version];
    const name = proof ? await checkEvent(proof).catch(() => "wrongPath") : isLoaded ? "pendingStill" : "notLoaded";
    check.hidden = false;
    meaning.hidden = !name.startsWith("holds");
    result.dataset.result = name;
    const { number, at, size: count } = proof?.checkpoint ?? {};
    result.textContent = fill(panel.dataset[name], { version, number, at, count });
    if (proof) {
      state.textContent = new TextDecoder().decode(readBytes(proof.event.state));
    }
    if (name === "holds") {
      mark(tick, "checked", proof.checkpoint);
    }
    panel.scrollIntoView({ block: "nearest" });
    heading.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const tick = event.target.closest?.(".proof-tick");
    if (tick) {
      event.preventDefault();
      press(tick);
    }
  });

  // --- Proofs are loaded ahead, for lines of the page and those that appear later ---

  let waiting = null;
  function loadSoon(wait) {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      await load(document.hidden ? [] : findTicks()).catch(() => {});
      if (findTicks("pending").length > 0) {
        loadSoon(PENDING_MS);
      }
    }, wait);
  }

  if (location.protocol !== "file:") {
    loadSoon(0);
    const isOther = ({ target }) => target.closest(".proof-tick") === null;
    new MutationObserver((changes) => changes.some(isOther) && loadSoon(200)).observe(
      document.getElementById("lines") ?? panel.previousElementSibling,
      { childList: true, subtree: true },
    );
  }
})();
