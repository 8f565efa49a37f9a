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

  // --- The stored event as JSON: former releases wrote that, later ones write MessagePack ---

  const showEvent = (bytes) =>
    bytes[0] === 0x7b ? new TextDecoder().decode(bytes) : JSON.stringify(unpack({ bytes, at: 0 }));

  function take(source, length) {
    source.at += length;
    return source.bytes.slice(source.at - length, source.at);
  }

  function takeNumber(source, length, isSigned = false) {
    const number = take(source, length).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return Number(isSigned ? BigInt.asIntN(8 * length, number) : number);
  }

  const takeText = (source, length) => new TextDecoder().decode(take(source, length));
  const takeList = (source, length) => Array.from({ length }, () => unpack(source));
  const takeMap = (source, length) =>
    Object.fromEntries(Array.from({ length }, () => [unpack(source), unpack(source)]));
  const takeFloat = (source) => new DataView(take(source, 8).buffer).getFloat64(0);

  function takeId(source, length) {
    const digits = [...take(source, length)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  // Seconds and nanoseconds since 1970, in 4, 8 or 12 bytes after the byte of the type.
  function takeTime(source, length) {
    take(source, 1);
    let [nanoseconds, seconds] = [0, 0];
    if (length === 8) {
      const both = take(source, 8).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      [nanoseconds, seconds] = [Number(both >> 34n), Number(both & 0x3ffffffffn)];
    } else {
      nanoseconds = length === 12 ? takeNumber(source, 4) : 0;
      seconds = takeNumber(source, length === 12 ? 8 : 4, length === 12);
    }
    const fraction = nanoseconds === 0 ? "" : `.${String(nanoseconds).padStart(9, "0").slice(0, 6)}`;
    return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction}Z`;
  }

  const FORMS = {
    0xc0: () => null, 0xc2: () => false, 0xc3: () => true, 0xcb: takeFloat,
    0xc4: (source) => takeId(source, takeNumber(source, 1)),
    0xc7: (source) => takeTime(source, takeNumber(source, 1)),
    0xcc: (source) => takeNumber(source, 1), 0xcd: (source) => takeNumber(source, 2),
    0xce: (source) => takeNumber(source, 4), 0xcf: (source) => takeNumber(source, 8),
    0xd0: (source) => takeNumber(source, 1, true), 0xd1: (source) => takeNumber(source, 2, true),
    0xd2: (source) => takeNumber(source, 4, true), 0xd3: (source) => takeNumber(source, 8, true),
    0xd6: (source) => takeTime(source, 4), 0xd7: (source) => takeTime(source, 8),
    0xd9: (source) => takeText(source, takeNumber(source, 1)), 0xda: (source) => takeText(source, takeNumber(source, 2)),
    0xdc: (source) => takeList(source, takeNumber(source, 2)), 0xde: (source) => takeMap(source, takeNumber(source, 2)),
  };

  function unpack(source) {
    const kind = takeNumber(source, 1);
    if (kind < 0x80 || kind > 0xdf) {
      return kind < 0x80 ? kind : kind - 256;
    }
    if (kind < 0xc0) {
      const takeShort = kind < 0x90 ? takeMap : kind < 0xa0 ? takeList : takeText;
      return takeShort(source, kind < 0xa0 ? kind & 15 : kind & 31);
    }
    return FORMS[kind](source);
  }

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
    const { number, at: signedAt = "", size: count } = proof?.checkpoint ?? {};
    const at = `${signedAt.slice(0, 19).replace("T", " ")} UTC`;
    result.textContent = fill(panel.dataset[name], { version, number, at, count });
    if (proof) {
      state.textContent = showEvent(readBytes(proof.event.state));
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
    const hasTick = (node) => node.nodeType === Node.ELEMENT_NODE && node.querySelector(".proof-tick") !== null;
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
